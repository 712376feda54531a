"""All evaluations, by the name of their fields in the configuration."""

from vae.evaluation import (
    anomaly,
    bounds,
    chow_liu,
    fitted_density,
    imputation,
    latent,
    log_likelihood,
    reconstruction,
)
from vae.evaluation.base import Evaluation
from vae.evaluation.disentanglement import evaluation as disentanglement

# In the order in which they are computed.
EVALUATIONS = {
    # These come before the bounds: a run that has those has these, too.
    "reconstruction": Evaluation(reconstruction.run, shows=lambda samples: {}),
    "validation": Evaluation(
        bounds.run_validation,
        shows=lambda samples: {},
        applies=lambda subject: (
            None if subject.dataset.validation.size else "needs validation images"
        ),
        on_all_hosts=True,
    ),
    "average": Evaluation(
        bounds.run_average, shows=lambda samples: {}, on_all_hosts=True
    ),
    "bounds": Evaluation(
        bounds.run,
        shows=lambda samples, **_: {f"test/nll_is{samples}_nats": None},
        images=lambda subject, **_: subject.dataset.test.size,
        # Of another number of samples, which may be too few for some.
        replaces=(
            *("latent/active_units", "latent/mean_variance", "latent/kl_per_dim"),
            "latent/rate_per_group_nats",
        ),
        on_all_hosts=True,
    ),
    "usage": Evaluation(latent.run, shows=lambda samples: {"collapse": None}),
    "anomalies": Evaluation(
        anomaly.run,
        shows=lambda samples, *, source, regret_images, ppca_components, baselines: {
            "anomalies": source,
            "anomaly/regret_images": regret_images,
            "anomaly/ppca_components": ppca_components,
            **({"anomaly/regret_auroc": None} if regret_images else {}),
            **({"anomaly/knn_auroc": None} if baselines else {}),
        },
        applies=anomaly.applies,
        switch="source",
        replaces=("anomalies", "anomaly/"),
        newer=("anomaly/regret_images", "anomaly/ppca_components"),
        on_all_hosts=True,
    ),
    "imputation": Evaluation(
        imputation.run,
        shows=lambda samples, *, hide, importance_samples: {
            "imputation/hide": hide,
            "imputation/importance_samples": importance_samples,
        },
        applies=imputation.applies,
        switch="hide",
        replaces=("imputation/",),
        newer=("imputation/importance_samples",),
    ),
    "fitted_density": Evaluation(
        fitted_density.run,
        shows=lambda samples, *, components: {fitted_density.name_of(components): None},
        applies=fitted_density.applies,
        switch="components",
    ),
    "chow_liu": Evaluation(
        chow_liu.run,
        shows=lambda samples, *, pseudocount: {"baseline/pseudocount": pseudocount},
        applies=chow_liu.applies,
        switch="pseudocount",
        replaces=("baseline/",),
    ),
    "disentanglement": Evaluation(
        disentanglement.run,
        shows=lambda samples, *, points: {"disentanglement/points": points},
        applies=disentanglement.applies,
        switch="points",
        replaces=("disentanglement/",),
    ),
    "ais": Evaluation(
        log_likelihood.run,
        shows=lambda samples, *, images, steps: {
            "ais/images": images,
            "ais/steps": steps,
            f"ais/nll_is{samples}_nats": None,
        },
        applies=log_likelihood.applies,
        switch="images",
        replaces=("ais/",),
        images=lambda subject, *, images, **_: 2 * images,
    ),
}
