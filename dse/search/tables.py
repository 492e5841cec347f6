"""Finished trials written into Optuna's tables as a few statements.

Optuna writes a trial value by value, some 100 statements each: 6 trials a second of a study with
30 metrics over PostgreSQL, and some hundreds as done here. The tables are those that Optuna
declares. This module imports Optuna: import it lazily.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import Study
from optuna.trial import FrozenTrial
from sqlalchemy import Connection, func, insert, select

RETURNING = ("sqlite", "postgresql")
"""Databases that tell the identities of many inserted rows; others are left to Optuna."""


class Tables:
    """The tables of one storage, read and written past its cache."""

    def __init__(self, storage: RDBStorage) -> None:
        self._storage = storage

    def size(self, study: Study) -> int:
        """How many trials the study has."""
        with self._storage.engine.connect() as connection:
            return _count(connection, study._study_id)

    def add(self, study: Study, trials: Sequence[FrozenTrial]) -> None:
        """Adds finished trials after those that the study has: all, or on an error none."""
        if self._storage.engine.name not in RETURNING:
            study.add_trials(trials)
            return
        with self._storage.engine.begin() as connection:
            identities = _insert_rows(connection, study._study_id, trials)
            for model, rows in _details(dict(zip(identities, trials, strict=True))):
                if rows:
                    connection.execute(insert(model), rows)


def _count(connection: Connection, study: int) -> int:
    table = models.TrialModel
    count = select(func.count()).select_from(table).where(table.study_id == study)
    return connection.execute(count).scalar_one()


def _insert_rows(
    connection: Connection, study: int, trials: Sequence[FrozenTrial]
) -> Sequence[int]:
    """The identities of the rows that stand for the trials, numbered on."""
    table = models.TrialModel
    # as Optuna does: whoever numbers trials holds the study's row
    held = select(models.StudyModel.study_id).where(models.StudyModel.study_id == study)
    connection.execute(held.with_for_update())
    first = _count(connection, study)
    rows = [
        {
            "number": first + index,
            "study_id": study,
            "state": trial.state,
            "datetime_start": trial.datetime_start,
            "datetime_complete": trial.datetime_complete,
        }
        for index, trial in enumerate(trials)
    ]
    made = insert(table.__table__).returning(
        table.__table__.c.trial_id, sort_by_parameter_order=True
    )
    return connection.execute(made, rows).scalars().all()


def _details(trials: dict[int, FrozenTrial]) -> list[tuple[Any, list[dict[str, Any]]]]:
    """What belongs to each trial, by the table that it goes to."""
    values, params = [], []
    attributes: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for identity, trial in trials.items():
        own = {"trial_id": identity}
        for objective, value in enumerate(trial.values):
            stored, kind = models.TrialValueModel.value_to_stored_repr(value)
            values.append({**own, "objective": objective, "value": stored, "value_type": kind})
        for name, value in trial.params.items():
            distribution = trial.distributions[name]
            params.append(
                {
                    **own,
                    "param_name": name,
                    "param_value": distribution.to_internal_repr(value),
                    "distribution_json": distribution_to_json(distribution),
                }
            )
        for rows, found in zip(attributes, (trial.user_attrs, trial.system_attrs), strict=True):
            rows += [{**own, "key": k, "value_json": json.dumps(v)} for k, v in found.items()]
    return [
        (models.TrialValueModel, values),
        (models.TrialParamModel, params),
        (models.TrialUserAttributeModel, attributes[0]),
        (models.TrialSystemAttributeModel, attributes[1]),
    ]
