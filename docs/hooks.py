"""Puts the tables and pictures of `experiments/` on the site, beside the pages."""

from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
SHOWN = ("experiments/RESULTS.md", "experiments/results/**/*.*")


def on_files(files, config):
    for pattern in SHOWN:
        for path in sorted(ROOT.glob(pattern)):
            uri = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Links lead from docs/ on GitHub, and from the site's root here."""
    return markdown.replace("](../experiments/", "](experiments/")
