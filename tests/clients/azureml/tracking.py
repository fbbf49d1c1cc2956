"""MLflow with Azure Machine Learning's plug-in: what a job logged, and runs of a user's own."""

import math

import mlflow
from report import report


def run(client, trained):
    mlflow.set_tracking_uri(client.workspaces.get().mlflow_tracking_uri)
    own = mlflow.MlflowClient()
    logged = mlflow.get_run(trained.name)
    report("a job's run has the metric of its script", [logged.info.status, logged.data.metrics.get("auc", 0) > 0.9])
    report("autolog has recorded the parameters", logged.data.params.get("C"))
    report("autolog has recorded the training's own metrics", "training_accuracy_score" in logged.data.metrics)

    models = mlflow.search_logged_models([logged.info.experiment_id], output_format="list")
    report("autolog has logged the model", [[each.name, each.source_run_id == trained.name] for each in models])
    report("the model of autolog is ready", models[0].status.value)

    mlflow.set_experiment("by-hand")
    with mlflow.start_run(run_name="first") as begun:
        mlflow.log_params({"depth": 3})
        for step, value in enumerate((0.5, 0.75)):
            mlflow.log_metric("auc", value, step=step)
        mlflow.log_metric("loss", math.nan)
        mlflow.set_tag("kind", "try")
    name = begun.info.run_id
    found = own.get_run(name)
    report("a run of one's own is kept", [found.info.status, found.data.params, found.data.tags["kind"]])
    report("the last value of a metric counts", found.data.metrics["auc"])
    report("a metric that is not a number comes back so", math.isnan(found.data.metrics["loss"]))
    report("a metric has its history", [[each.step, each.value] for each in own.get_metric_history(name, "auc")])
    experiment = own.get_experiment_by_name("by-hand").experiment_id
    for step, condition in (("found", "metrics.auc > 0.7"), ("not found", "metrics.auc > 0.8")):
        runs = own.search_runs([experiment], f"{condition} and tags.kind = 'try'")
        report(f"a run is {step} by its metric", [each.info.run_name for each in runs])
