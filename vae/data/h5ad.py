"""Count matrices, as single-cell programs write them: cells by genes, in .h5ad.

The file is read by h5py, of the extra `h5ad`: a matrix, its names and columns of `obs`
are all that is needed, and anndata would bring pandas and much else.
"""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from vae.data.cells import Sheet, as_text
from vae.data.columns import COUNT, Column
from vae.data.options import ReadOptions, reading
from vae.data.roles import check_field, is_test_of, known_labels, labels_of
from vae.data.splits import Loaded, Split, cut_test
from vae.data.storage import blocks, map_rows
from vae.data.tables import LARGEST_COUNT, check_columns
from vae.types import UserError

CHUNK_CACHE = 256 * 2**20  # bytes: a chunk is read in several blocks of rows
SPARSE = {"csr_matrix": sparse.csr_matrix, "csc_matrix": sparse.csc_matrix}


def from_h5ad(path: Path, where: str, options: ReadOptions) -> Loaded:
    """Returns the counts `X` as vectors, float32 [N, D], and the genes as columns.

    Labels and split are columns of `obs`, as in `tables.from_table`.

    Raises:
      UserError: the file is not as it should be.
    """
    with _opened(path, where) as file:
        cells, genes = _index(file["obs"]), _index(file["var"])
        if repeated := len(genes) - len({*genes}):
            raise UserError(
                f"{where}: {repeated} genes have the name of another; rename them "
                "(anndata: var_names_make_unique)"
            )
        asked = {
            "label_column": options.label_column,
            "split_column": options.split_column,
        }
        for field, name in asked.items():
            if name:
                check_field(field, name, [*file["obs"]], where)
        names = [name for name in asked.values() if name]
        held = {name: _texts(file["obs"][name]) for name in names}
        sheet = Sheet(names, held, np.array(cells), where)
        x = _counts(file, sheet, genes)
    labels, label_names = labels_of(sheet, options)
    train, test = cut_test(Split(x, labels), is_test_of(sheet, options))
    columns = tuple(Column(gene, COUNT) for gene in genes)
    return Loaded(train, test, columns, label_names)


def all_of_h5ad(
    path: Path,
    where: str,
    options: ReadOptions,
    columns: Sequence[Column],
    label_names: Sequence[str] | None = None,
) -> tuple[Split, list[str]]:
    """Returns the counts of all cells [N, D], and the names of the cells.

    Args:
      path: of the file.
      where: the field or flag and its value, for messages.
      options: of the run.
      columns: of the run, found among the genes by their names; (): all genes.
      label_names: of the run's labels, see `known_labels`; None: none are read.

    Raises:
      UserError: the file is not as it should be, or lacks a gene or a known label.
    """
    with _opened(path, where) as file:
        cells, genes = _index(file["obs"]), _index(file["var"])
        check_columns(where, columns, genes)
        held = {}
        if label_names is not None and options.label_column:
            check_field("label_column", options.label_column, [*file["obs"]], where)
            held[options.label_column] = _texts(file["obs"][options.label_column])
        sheet = Sheet([*held], held, np.array(cells), where)
        x = _counts(file, sheet, genes)
    place = {gene: i for i, gene in enumerate(genes)}
    own = [place[column.name] for column in columns] or slice(None)
    labels = known_labels(sheet, options, label_names)
    return Split(np.ascontiguousarray(x[:, own]), labels), cells


@contextmanager
def _opened(path: Path, where: str) -> Iterator[Any]:
    """Opens the file; what goes wrong while it is read is the file's fault."""
    try:
        h5py = importlib.import_module("h5py")
    except ImportError as error:
        raise UserError(f"{where}: .h5ad needs h5py: pip install h5py") from error
    if not path.is_file():
        raise UserError(f"{where}: there is no such file")
    try:
        with (
            reading(where, "the matrix"),
            h5py.File(path, rdcc_nbytes=CHUNK_CACHE) as file,
        ):
            yield file
    except UserError:
        raise
    except Exception as error:  # of h5py, for files that are damaged or hold other data
        raise UserError(
            f"{where}: not a whole .h5ad with X, obs and var as anndata 0.8 or later "
            f"writes them ({type(error).__name__}: {error})"
        ) from error


def _index(frame: Any) -> list[str]:
    """Returns the names of the rows of a data frame, `obs` or `var`."""
    return [*map(str, frame[frame.attrs["_index"]].asstr()[:])]


def _texts(column: Any) -> np.ndarray:
    """Returns a column of `obs` as texts, None where there is no value."""
    parts = column.keys() if hasattr(column, "keys") else ()
    if "codes" in parts:  # categorical
        categories = [*_texts(column["categories"]), None]
        return as_text(categories[code] for code in column["codes"][:])
    if "mask" in parts:  # nullable
        texts = _texts(column["values"])
        texts[column["mask"][:]] = None
        return texts
    if column.dtype.kind == "O":
        return as_text(column.asstr()[:])
    return as_text(str(v) if v == v else None for v in column[:].tolist())


def _counts(file: Any, sheet: Sheet, genes: list[str]) -> np.ndarray:
    """Returns `X` [N, D] as float32, once it is clear that it holds counts."""
    matrix, encoding = file["X"], file["X"].attrs.get("encoding-type", "array")
    if encoding in SPARSE:
        parts = tuple(matrix[part][:] for part in ("data", "indices", "indptr"))
        shape = tuple(matrix.attrs["shape"])
        held = SPARSE[encoding](parts, shape=shape).tocsr()
    else:
        held = matrix
    if held.shape != (len(sheet.rows), len(genes)) or 0 in held.shape:
        raise UserError(
            f"{sheet.where}: X has shape {held.shape}, for {len(sheet.rows)} cells and "
            f"{len(genes)} genes"
        )
    values = held.data if sparse.issparse(held) else held
    is_zero = True
    for _, block in blocks(values):
        is_count = (block >= 0) & (block == np.floor(block)) & (block <= LARGEST_COUNT)
        if not is_count.all():
            value = block[~is_count].flat[0]
            raise UserError(
                f"{sheet.where}: X holds {value:g}, which is no count (0, 1, 2, ... up "
                f"to {LARGEST_COUNT}); save the raw counts as X"
            )
        is_zero &= not block.any()
    if is_zero:
        raise UserError(f"{sheet.where}: every count is 0")
    return map_rows(_as_dense, held, np.float32, len(genes))


def _as_dense(rows: Any) -> np.ndarray:
    return rows.toarray() if sparse.issparse(rows) else rows
