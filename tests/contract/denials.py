"""Runs in which one documented view, command or function is denied."""

from __future__ import annotations

from tests.contract.statements import catalog_of, documented_in, sort_out
from tests.contract.subject import Observation, Subject
from tests.warehouses.harness import Flow


def denials(subject: Subject, flow: Flow) -> dict[str, Observation]:
    """One run for each documented view that the flow reads and that requires a grant. Each runs once per session."""
    found = {}
    for view in read_views(subject, flow):
        name = f"denied {flow} {view}"
        if name not in subject.kept:
            subject.server.deny(view)
        found[view] = subject.once(name, flow)
        subject.server.restore()
    return found


def read_views(subject: Subject, flow: Flow) -> list[str]:
    """The documented views, commands and functions that a full run reads, except those that everybody may read."""
    catalog = catalog_of(subject.template)
    statements = sort_out(subject.full(flow).statements, subject.template).statements
    read = {name for each in statements for name in documented_in(each, catalog, subject.harness.dialect)}
    return sorted(name for name in read if catalog["views"].get(name, {}).get("rows") != "all")
