# Shared by the BigQuery folders; the source is scripts/templates/_shared/bigquery/scopes.py.
"""Reads a project region by region, and dataset by dataset where a regional view is not readable or too large.

Regional views need grants on the whole project, and leave out linked datasets. A view qualified with a dataset needs
grants on the dataset only. https://docs.cloud.google.com/bigquery/docs/information-schema-intro#dataset_qualifier
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import TypeVar

from connection import Dataset, Place, Warehouse, is_statement_error, is_too_much
from error_table import message
from mcpush.collect.catalog import UNREADABLE_SCHEMA, each_readable
from mcpush.collect.collector import Options
from mcpush.console import log
from projects import NO_DATASETS, datasets, refusal, selected_projects

T = TypeVar("T")
# Reads a place, and adds the names of the datasets in which it finds something.
Read = Callable[[Place, set[str]], Iterator[T]]

# Types of datasets. https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/datasets/list
LINKED = "LINKED"
EXTERNAL = "EXTERNAL"  # their tables are in another catalog (AWS Glue, Spanner): INFORMATION_SCHEMA lacks them
FEDERATED = "federated dataset: its tables are not collected"


def each_project(warehouse: Warehouse, options: Options, read: Read[T]) -> Iterator[T]:
    """Yields from ``each_scope`` for each project that the filters select.

    Counts unreadable projects. Raises RefusedError if the tables of none are readable.
    """
    yield from each_readable(
        options,
        selected_projects(warehouse, options),
        lambda project: each_scope(warehouse, options, project, read),
        is_statement_error,
        lambda messages: refusal("the tables of any project", messages),
        message,
    )


def each_place(options: Options, places: list[Place], what: str, read: Callable[[Place], Iterator[T]]) -> Iterator[T]:
    """Yields from ``read`` for each place. Counts unreadable ones. Raises RefusedError, about ``what``, if all are."""
    by_name = {str(place): place for place in places}
    yield from each_readable(
        options,
        by_name,
        lambda name: read(by_name[name]),
        is_statement_error,
        lambda messages: refusal(what, messages),
        message,
    )


def each_scope(warehouse: Warehouse, options: Options, project: str, read: Read[T]) -> Iterator[T]:
    """Yields from ``read`` for each region of a project, and for each dataset that the region's view leaves out.

    Reads no region or dataset that the filters do not select: each statement bills. Counts unreadable datasets. Raises
    BigQuery's error if nothing in the project is readable, or a single dataset is too large.
    """
    found = datasets(warehouse, options, project)
    if not found:
        options.skip(NO_DATASETS, project)
    readable, refused = 0, None
    for location, group in groupby(found, key=lambda dataset: dataset.location):
        selected = [each for each in group if options.filters.may_hold(f"{each.project}.{each.name}")]
        if not selected:
            continue
        rest = list(_without_federated(options, selected))
        seen: set[str] = set()
        try:
            yield from read(Place(project, location), seen)
            readable += 1
            rest = [each for each in rest if each.type == LINKED and each.name not in seen]
        except Exception as error:
            if seen or not (is_statement_error(error) or is_too_much(error)):
                raise
            log.info("%s %s: reading it dataset by dataset, because of: %s", project, location, message(error))
            refused = error
        for dataset in rest:
            try:
                yield from read(dataset.place, set())
                readable += 1
            except Exception as error:
                if not is_statement_error(error):
                    raise
                refused = error
                options.skip(UNREADABLE_SCHEMA, f"{project}.{dataset.name}: {message(error)}")
    if refused and not readable:
        raise refused


def _without_federated(options: Options, found: list[Dataset]) -> Iterator[Dataset]:
    """The datasets without federated ones, which it counts."""
    for dataset in found:
        if dataset.type == EXTERNAL:
            options.skip(FEDERATED, f"{dataset.project}.{dataset.name}")
        else:
            yield dataset
