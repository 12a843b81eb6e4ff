# Shared by the BigQuery folders; the source is scripts/templates/_shared/bigquery/scopes.py.
"""Reads a project region by region, and dataset by dataset where a regional view has no rows or is not readable.

Regional views need grants on the whole project, and leave out linked datasets. A view qualified with a dataset needs
grants on the dataset only. https://docs.cloud.google.com/bigquery/docs/information-schema-intro#dataset_qualifier
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import TypeVar

from connection import HTTP_TIMEOUT, Dataset, Place, Warehouse, is_unreadable
from error_table import message
from google.cloud.bigquery import DatasetReference
from mcpush.collect.catalog import UNREADABLE_SCHEMA
from mcpush.collect.collector import Options
from mcpush.collect.pool import Pool
from mcpush.console import log
from projects import NO_DATASETS, datasets

T = TypeVar("T")
# Reads a place, and adds the names of the datasets in which it finds something.
Read = Callable[[Place, set[str]], Iterator[T]]

LINKED = "LINKED"
# Their tables are in another catalog (AWS Glue, Spanner), which INFORMATION_SCHEMA does not support.
FEDERATED = "federated dataset: its tables are not collected"
NOT_REACHED = "dataset without tables in the regional view, not examined in time: it is empty or linked"
WORKERS, SECONDS = 8, 300  # for datasets.get; BigQuery allows 100 requests per second and user


def each_scope(warehouse: Warehouse, options: Options, project: str, read: Read[T]) -> Iterator[T]:
    """Yields from ``read`` for each region of a project, and for each dataset that the region's view leaves out.

    Counts unreadable datasets. Raises BigQuery's error if nothing in the project is readable.
    """
    found = datasets(warehouse, options, project)
    if not found:
        options.skip(NO_DATASETS, project)
    readable, refused = 0, None
    for location, group in groupby(found, key=lambda dataset: dataset.location):
        rest = [each for each in group if options.filters.may_hold(f"{project}.{each.name}")]
        seen: set[str] = set()
        try:
            yield from read(Place(project, location), seen)
            readable += 1
            rest = [each for each in rest if each.name not in seen]
            rest = list(_linked(warehouse, options, rest))
        except Exception as error:
            if seen or not is_unreadable(error):
                raise
            log.info("%s %s: no access to the whole region, reading it dataset by dataset", project, location)
            refused = error
        for dataset in rest:
            try:
                yield from read(dataset.place, set())
                readable += 1
            except Exception as error:
                if not is_unreadable(error):
                    raise
                refused = error
                options.skip(UNREADABLE_SCHEMA, f"{project}.{dataset.name}: {message(error)}")
    if refused and not readable:
        raise refused


def _linked(warehouse: Warehouse, options: Options, rest: Iterable[Dataset]) -> Iterator[Dataset]:
    """The linked datasets among those without a row in the regional view. Counts federated and unreadable ones."""
    if warehouse.estimates is not None:  # statements return no rows
        return

    def kind(dataset: Dataset) -> str:
        reference = DatasetReference(dataset.project, dataset.name)
        found = warehouse.client.get_dataset(reference, retry=warehouse.retry, timeout=HTTP_TIMEOUT).to_api_repr()
        return FEDERATED if found.get("externalDatasetReference") else str(found.get("type", ""))

    for answer in Pool(WORKERS, SECONDS).answers(kind, rest):
        name = f"{answer.item.project}.{answer.item.name}"
        if answer.error is not None:
            if not is_unreadable(answer.error):
                raise answer.error
            options.skip(UNREADABLE_SCHEMA, f"{name}: {message(answer.error)}")
        elif not answer.is_reached:
            options.skip(NOT_REACHED, name)
        elif answer.value == FEDERATED:
            options.skip(FEDERATED, name)
        elif answer.value == LINKED:
            yield answer.item
