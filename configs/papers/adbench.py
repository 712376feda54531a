r"""ADBench's tabular sets: anomaly detection by a model of half of the normal rows.

One set of hyperparameters serves all sets. It was chosen without labels: by the ELBO of
held-out training rows, 2,000 steps beat 500 and a Gaussian per column beat Student's t
and a shared scale on six of the seven sets tried. Bounded scales and clipped gradients
keep all runs finite.

Command:  python examples/prepare_adbench.py FOLDER_OF_ADBENCH
          python launch.py --experiment=reproduce --config=configs/papers/adbench.py
Published: AUROC in percent, of the README of DTE's code (github.com/vicliv/DTE)
"""

from typing import Any

from configs import default

# VAE, PCA, k-NN, LOF, isolation forest, one-class SVM
PUBLISHED = {
    "1_ALOI": (54.04, 54.04, 51.04, 48.76, 50.74, 54.29),
    "2_annthyroid": (85.44, 85.19, 92.81, 88.63, 90.28, 88.45),
    "5_campaign": (77.07, 77.07, 78.48, 70.55, 73.64, 77.67),
    "7_Cardiotocography": (78.9, 78.89, 62.11, 64.49, 74.24, 75.22),
    "8_celeba": (80.32, 80.53, 73.14, 43.73, 71.23, 79.79),
    "10_cover": (94.35, 94.41, 97.54, 99.18, 86.31, 96.17),
    "11_donors": (88.6, 88.12, 99.49, 96.97, 89.44, 92.09),
    "12_fault": (55.87, 55.87, 58.73, 47.42, 55.86, 57.21),
    "15_Hepatitis": (84.84, 84.48, 96.46, 66.92, 82.69, 90.58),
    "16_http": (99.94, 99.95, 100, 99.98, 99.35, 100),
    "17_InternetAds": (65.12, 65.12, 68.08, 71.72, 47.87, 65.63),
    "19_landsat": (54.22, 43.9, 68.25, 66.58, 58.8, 47.98),
    "20_letter": (30.23, 30.3, 35.43, 44.83, 32.04, 32.17),
    "21_Lymphography": (99.88, 99.86, 99.93, 98.21, 99.45, 100),
    "22_magic.gamma": (70.64, 70.64, 83.27, 83.4, 77.09, 74.25),
    "23_mammography": (89.58, 89.93, 87.58, 85.52, 88.02, 88.63),
    "24_mnist": (90.21, 90.21, 93.85, 92.93, 86.6, 90.56),
    "25_musk": (100, 100, 100, 100, 90.58, 100),
    "26_optdigits": (58.17, 58.17, 93.72, 96.65, 81.07, 63.38),
    "27_PageBlocks": (86.16, 86.12, 89.65, 91.3, 82.64, 88.58),
    "29_Pima": (73.18, 72.28, 76.94, 70.53, 74.26, 71.53),
    "30_satellite": (74.14, 66.63, 82.24, 80.3, 77.46, 73.91),
    "32_shuttle": (99.35, 99.36, 99.91, 99.98, 99.65, 99.62),
    "34_smtp": (81.93, 81.81, 92.43, 93.42, 90.36, 84.65),
    "35_SpamBase": (81.4, 81.4, 83.36, 73.23, 85.18, 81.7),
    "37_Stamps": (93.28, 92.7, 95.89, 93.74, 93.47, 93.72),
    "39_vertebral": (42.63, 42.08, 57.67, 64.3, 45.64, 50.47),
    "41_Waveform": (64.84, 64.68, 75.21, 76, 72.29, 70.44),
    "42_WBC": (99.25, 99.35, 99.12, 80.52, 99.41, 99.63),
    "43_WDBC": (99.14, 99.14, 99.05, 99.62, 98.73, 99.34),
    "44_Wilt": (35.41, 26.07, 63.66, 68.81, 47.97, 34.81),
    "46_WPBC": (54.42, 52.54, 63.67, 57.36, 56.33, 53.37),
    "47_yeast": (42.39, 43.24, 44.74, 45.79, 41.8, 44.84),
}
BASELINES = {
    "pPCA": "ppca",
    "k-NN": "knn",
    "LOF": "lof",
    "isolation forest": "isolation_forest",
    "one-class SVM": "one_class_svm",
}
SCORES = {
    "-ELBO": "neg_elbo",
    "-L_K": "neg_bound",
    "-log E p(x given z)": "reconstruction",
    "KL": "rate",
    **BASELINES,
}


NOTES = """Our k-NN has 3 points more than the published k-NN, in the mean. So the
split and the scaling differ from the published ones by about that much. The sets
20_letter, 44_Wilt, 12_fault and 26_optdigits differ most. Within our split, -ELBO is
1.2 points above pPCA and 2 points below k-NN. No run with the verdict "healthy" has
fewer than 8 active dimensions. If a set has few rows or constant columns, the variance
of single columns shrinks to its bound, and single test rows cost up to millions of
nats. This changes means of the likelihood, but not ranks."""


def get_config(mode: str = "") -> default.Config:
    config = default.get_config()
    config.dataset.name = "npz:adbench/29_Pima.npz"
    config.dataset.keep_labels = (0,)
    config.dataset.scale = "standardize"
    config.dataset.batch_size = 32
    config.model.latent_dim = 8
    config.model.likelihood.name = "gaussian_per_pixel"
    # Test rows may lie hundreds of standard deviations from the training rows.
    config.model.posterior.scale = "bounded_exp"
    for part in (config.model.encoder, config.model.decoder):
        part.widths = (128, 128)
    config.optimizer.clip_norm = 1.0
    config.train.steps = 2_000
    config.optimizer.schedule.name = "cosine"
    config.evaluate.bounds.importance_samples = 50
    config.evaluate.anomalies.source = "other_labels"
    config.evaluate.anomalies.baselines = True
    return default.finish(config, mode)


def table() -> dict[str, Any]:
    columns = {
        f"{measure.upper()} {title}": f"anomaly/{score}_{measure}"
        for measure in ("auroc", "auprc")
        for title, score in SCORES.items()
    }
    columns["verdict on collapse"] = "collapse"
    beside = [f"AUROC {title}" for title in ("-ELBO", *BASELINES)]
    rows = [
        {
            "name": name,
            "group": "set",
            "overrides": {"dataset.name": f"npz:adbench/{name}.npz"},
            "published": dict(zip(beside, [v / 100 for v in values], strict=True)),
        }
        for name, values in PUBLISHED.items()
    ]
    return {
        "seeds": (0, 1, 2, 3, 4),
        "columns": columns,
        "rows": rows,
        "mean": True,
        "claims": [
            {
                "says": "2 points above the published VAE, in the mean of the sets",
                "row": "mean of sets",
                "order": [0.753, "AUROC -L_K"],
                "by": 0.02,
            },
            {
                "says": "above exact probabilistic PCA of the same rows, in the mean",
                "row": "mean of sets",
                "order": ["AUROC pPCA", "AUROC -L_K"],
            },
        ],
        "source": "github.com/vicliv/DTE (Livernoche et al. 2024, arXiv 2305.18593), "
        "mean of 5 splits; beside the ELBO their VAE, that of PyOD",
        "notes": NOTES,
        "differs": "one split, 5 seeds of the model; at most 10,000 test rows",
    }
