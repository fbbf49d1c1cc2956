"""A training script as a tutorial has it: nothing in it knows where it runs."""

import argparse

import mlflow
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True)
parser.add_argument("--c", type=float, default=1.0)
parser.add_argument("--model", required=True)
arguments = parser.parse_args()

mlflow.autolog()
with mlflow.start_run():
    table = pd.read_csv(arguments.data)
    columns, label = table.drop(columns="label"), table["label"]
    train, test, train_label, test_label = train_test_split(columns, label, random_state=0)
    model = LogisticRegression(C=arguments.c).fit(train, train_label)
    auc = roc_auc_score(test_label, model.predict_proba(test)[:, 1])
    mlflow.log_metric("auc", auc)
    print(f"auc of {len(test)} rows: {auc:.2f}")
    mlflow.sklearn.save_model(model, arguments.model, pip_requirements=["scikit-learn"])
