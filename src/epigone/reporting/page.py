"""The package's page templates: one style sheet, everything from data escaped.

In: the name of a template. Out: what renders it. Pure but for the package's own files.
"""

from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def template(name: str) -> "_Report":
    """A page template of the package with the style sheet put in; what comes from data is escaped."""
    loader = PackageLoader("epigone.reporting", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["svg"] = Markup
    style = loader.get_source(environment, "report.css")[0]
    return _Report(environment, name, style)


@dataclass(frozen=True, slots=True)
class _Report:
    """The template with its style sheet put in."""

    environment: Environment
    name: str
    style: str

    def render(self, **values: object) -> str:
        return self.environment.get_template(self.name).render(style=Markup(self.style), **values)
