"""Writes what follows from the declarations in Rust: the layers' Python classes, and the tables of the pages.

    python tools/generate.py            # writes Python classes, tables in docs, the schema and PyPI's README
    python tools/generate.py --check    # writes nothing; names the files that are stale, and exits with 1

The layers are declared in crates/layers, the server's options in crates/server/src/config.rs. Of a page,
nothing is touched but what stands between the markers ``<!-- options -->`` and ``<!-- /options -->``, and the
first paragraph of a layer's page (the layer's summary).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from texts import COMMON, COMMON_MODULE, MODULE, OPTIONS_MODULE, PACKAGE, cell, code, flat, wrapped

ROOT = Path(__file__).resolve().parent.parent
CLASSES = ROOT / "python" / "onionskin" / "layers"
PAGES = ROOT / "docs" / "layers"
SCHEMA = ROOT / "docs" / "reference" / "onion.schema.json"
SERVER_PAGE = ROOT / "docs" / "reference" / "server-options.md"
PYPI_README = ROOT / "python" / "README.md"
SERVER_OPTIONS = ROOT / "python" / "onionskin" / "options.py"

Schema = dict[str, Any]


def main() -> int:
    """Runs the command line, and gives its exit status."""
    parser = argparse.ArgumentParser(
        description="Writes the files that follow from the declarations in Rust."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file is stale")
    check = parser.parse_args().check
    try:
        files = generated(printed("layers", "declarations"), printed("server", "options"))
        files[SCHEMA] = json.dumps(printed("configuration", "schema"), indent=2) + "\n"
    except PageError as error:
        print(f"generate: {error}", file=sys.stderr)
        return 1
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if check:
            print(f"stale: {path.relative_to(ROOT)}; run python tools/generate.py", file=sys.stderr)
        else:
            path.write_text(files[path])
            print(f"written: {path.relative_to(ROOT)}")
    return 1 if check and stale else 0


class PageError(Exception):
    """A page that is missing, or that has no place for what is generated."""


def printed(crate: str, example: str) -> Schema:
    """What an example of a crate prints about its declarations, in their order."""
    command = f"cargo run -q -p {crate} --example {example} --features schemars/preserve_order"
    output = subprocess.run(command.split(), cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    declared: Schema = json.loads(output)
    return declared


def generated(declared: Schema, server: Schema) -> dict[Path, str]:
    """All files that are generated, with their texts."""
    layers = declared["layers"]
    files = {
        CLASSES / "__init__.py": package(layers),
        CLASSES / "_common.py": COMMON_MODULE.format(matching=matching_class(declared["matching"])),
    }
    for layer in layers:
        files[CLASSES / f"{layer['name']}.py"] = module(layer)
        path = PAGES / f"{layer['name']}.md"
        page = with_summary(path, read(path), layer["summary"])
        files[path] = between(path, page, "options", option_table(layer))
    path = PAGES / "README.md"
    files[path] = between(path, read(path), "layers", layer_table(layers))
    files[SERVER_PAGE] = between(SERVER_PAGE, read(SERVER_PAGE), "options", server_table(server))
    files[SERVER_OPTIONS] = OPTIONS_MODULE.format(options=server_options_class(server))
    files[PYPI_README] = pypi_readme()
    return files


# The Python classes.


def package(layers: list[Schema]) -> str:
    """The text of python/onionskin/layers/__init__.py."""
    modules = {"Matching": "_common"} | {layer["class"]: layer["name"] for layer in layers}
    names = sorted(modules)
    by_module = sorted(names, key=lambda name: modules[name])
    return PACKAGE.format(
        imports="\n".join(f"    from onionskin.layers.{modules[name]} import {name}" for name in by_module),
        exported="".join(f'    "{name}",\n' for name in names),
        modules="".join(f'    "{name}": "{modules[name]}",\n' for name in names),
    )


def module(layer: Schema) -> str:
    """The text of one layer's module."""
    text = python_class(layer)
    collections = ", ".join(name for name in ("Mapping", "Sequence") if f"{name}[" in text)
    imports = [f"    from collections.abc import {collections}\n"] if collections else []
    imports += ["    from os import PathLike\n"] if uses(text, "PathLike") else []
    typed = "".join([*imports, "\n"] if imports else [])
    names = ("TYPE_CHECKING", "Any", "Literal", "overload")
    typing = ", ".join(name for name in names if name == "TYPE_CHECKING" or uses(text, name))
    required = "REQUIRED, Matching, given" if uses(text, "REQUIRED") else "Matching, given"
    return MODULE.format(typing=typing, common=required, collections=typed, text=text, name=layer["class"])


def uses(text: str, name: str) -> bool:
    """Whether a module's text has this name in its code."""
    code = re.sub(r'""".*?"""', "", text, flags=re.DOTALL)
    return re.search(rf"\b{name}\b", code) is not None


def python_class(layer: Schema) -> str:
    """The class of one layer."""
    options = options_of(layer)
    positional = layer["positional"]
    # A layer that stands alone may take its one option first, without an application before it.
    alone = bool(positional and layer["stands_alone"])
    app = f"WSGIApplication | {python_type(options[positional])}" if alone else "WSGIApplication"
    first = [f"app: {app} | None = None"]
    if positional:
        first.append(parameter(positional, options[positional]))
    named = [parameter(name, option) for name, option in options.items() if name != positional]
    named += [f"{name}: Matching | None = None" for name in COMMON]
    shift = [
        "        if app is None or callable(app):",
        "            inside = app",
        "        else:",
        f"            inside, {positional} = None, app",
    ]
    given = [f"{name}={name}" for name in [*options, *COMMON]]
    lines = [
        f"class {layer['class']}(Layer):",
        *docstring(layer, options),
        "",
        "    __slots__ = ()",
        "",
        *overloads(layer, options),
        *signature([*first, "*", *named]),
        *(shift if alone else []),
        "        options = given(",
        *(f"            {part}," for part in given),
        "        )",
        f'        return super().__new__(cls, {"inside" if alone else "app"}, "{layer["name"]}", options)',
    ]
    return "\n".join(lines) + "\n"


def overloads(layer: Schema, options: dict[str, Schema]) -> list[str]:
    """The ways to call a class with required options, for type checkers.

    The signature that runs has defaults for them, so that a missing one raises a ``ConfigurationError`` that
    says what to do.
    """
    if not any(option["required"] for option in options.values()):
        return []
    positional = layer["positional"]
    named = [stated(name, option) for name, option in options.items()]
    named += [f"{name}: Matching | None = None" for name in COMMON]
    if positional is None:
        ways = [["app: WSGIApplication", "*", *named], ["app: None = None", "*", *named]]
    else:
        own = stated(positional, options[positional])
        others = [part for part in named if part != own]
        ways = [
            ["app: WSGIApplication | None", own, "*", *others],
            ["app: WSGIApplication | None = None", "*", *named],
        ]
        if layer["stands_alone"]:
            ways.append([f"app: {python_type(options[positional])}", "*", *others])
    return [line for way in ways for line in ("    @overload", *signature(way, " ..."))]


def signature(parameters: list[str], body: str = "") -> list[str]:
    """The head of ``__new__``, in lines."""
    head = ["cls", *parameters]
    return ["    def __new__(", *(f"        {part}," for part in head), f"    ) -> Self:{body}"]


def server_options_class(server: Schema) -> str:
    """The class of the server's options, as ``serve()`` takes them."""
    options = {
        name: {**resolved(option, server["$defs"]), "required": True}
        for name, option in server["properties"].items()
        if name not in ("bind", "threads")
    }
    described = [
        line
        for name, option in options.items()
        for line in wrapped(f"{name}: {with_stop(sentence(option))}", " " * 8, " " * 12)
    ]
    members = [f"    {name}: {python_type(option)}" for name, option in options.items()]
    return "\n".join([*described, '    """', "", *members])


def with_stop(text: str) -> str:
    """A description as a sentence."""
    return text if text.endswith(".") else f"{text}."


def docstring(layer: Schema, options: dict[str, Schema]) -> list[str]:
    """The docstring of one layer's class, in lines."""
    inside = "Without one, the layer is called with it later."
    if layer["stands_alone"]:
        inside = "Without one, the layer is an application by itself; it may be called with one later, too."
    arguments = [f"app: The application that stands inside. {inside}"]
    arguments += [f"{name}: {sentence(option)} {facts(option)}" for name, option in options.items()]
    arguments += [f"{name}: {text} ``Matching``, default ``None``." for name, text in COMMON.items()]
    raised = "ConfigurationError: An option is unknown, missing or wrong; the message says what to do."
    return [
        *wrapped(f'"""{code(layer["summary"])}', "    ", "    "),
        "",
        "    Args:",
        *(line for argument in arguments for line in wrapped(argument, " " * 8, " " * 12)),
        "",
        "    Raises:",
        *wrapped(raised, " " * 8, " " * 12),
        '    """',
    ]


def matching_class(matching: Schema) -> str:
    """The class of the conditions ``match`` and ``unless``."""
    options = matching["properties"]
    lines = [
        "class Matching(TypedDict, total=False):",
        *wrapped(f'"""{code(flat(matching["description"]))}', "    ", "    "),
        "",
        "    Keys:",
        *(
            line
            for name, option in options.items()
            for line in wrapped(f"{name}: {sentence(option)} One, or a list of them.", " " * 8, " " * 12)
        ),
        '    """',
        "",
        *(f"    {name}: str | Sequence[str]" for name in options),
    ]
    return "\n".join(lines) + "\n"


def parameter(name: str, option: Schema) -> str:
    """One parameter of a class, with its type and its default."""
    return f"{name}: {python_type(option)} = {'REQUIRED' if option['required'] else python_value(option)}"


def stated(name: str, option: Schema) -> str:
    """The same without a default if the option is required."""
    return f"{name}: {python_type(option)}" if option["required"] else parameter(name, option)


def facts(option: Schema) -> str:
    """Type and default of an option, for its docstring."""
    kind = python_type(option)
    return (
        f"``{kind}``, required." if option["required"] else f"``{kind}``, default ``{python_value(option)}``."
    )


NUMBERS_TOO = {
    "Connections": "int | str",
    "AddressLimit": "int | str",
    "Size": "int | str",
    "Span": "float | str",
    "SpanOrOff": "float | str",
    "Workers": "int | str",
}
"""The types of options that a number may stand for: seconds, bytes or a count."""


def python_type(option: Schema) -> str:
    """The Python type that an option takes."""
    kinds = [kind for kind in as_list(option.get("type")) if kind != "null"]
    choices = [python_type(choice) for choice in option.get("anyOf", []) if choice.get("type") != "null"]
    if option.get("x-supplied") == "application":
        kind = "WSGIApplication | str"
    elif option.get("x-named") in NUMBERS_TOO:
        kind = NUMBERS_TOO[option["x-named"]]
    elif "oneOf" in option:
        kind = f"Literal[{', '.join(quoted(choice['const']) for choice in option['oneOf'])}]"
    elif kinds == ["object"] and isinstance(option.get("additionalProperties"), dict):
        kind = f"Mapping[str, {python_type(option['additionalProperties'])}]"
    elif "enum" in option and kinds == ["string"]:
        kind = f"Literal[{', '.join(map(quoted, filter(None, option['enum'])))}]"
    elif kinds == ["array"]:
        kind = f"Sequence[{python_type(option.get('items', {}))}]"
    elif kinds == ["object"]:
        members = option.get("additionalProperties") or {}
        kind = f"Mapping[str, {python_type(members)}]"
    elif option.get("format") == "path":
        kind = "str | PathLike[str]"
    elif kinds:
        kind = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}.get(kinds[0], "Any")
    else:
        kind = " | ".join(choices) or "Any"
    nullable = option.get("required") is False and option.get("default") in (None, {})
    return f"{kind} | None" if nullable else kind


def python_value(option: Schema) -> str:
    """The default of an option, as Python."""
    value = option.get("default")
    if value == {}:
        return "None"
    if isinstance(value, list):
        members = ", ".join(map(quoted, value))
        return f"({members},)" if len(value) == 1 else f"({members})"
    return quoted(value)


def quoted(value: Any) -> str:
    """A value as Python, its texts in double quotes."""
    return json.dumps(value) if isinstance(value, str) else repr(value)


# The pages.


def option_table(layer: Schema) -> str:
    """The options of a layer, as a table of its page."""
    rows = ["| Option | Type | Default | Meaning |", "| --- | --- | --- | --- |"]
    for name, option in options_of(layer).items():
        default = "required" if option["required"] else f"`{json.dumps(option.get('default'))}`"
        rows.append(f"| `{name}` | {page_type(option)} | {default} | {cell(sentence(option, tick='`'))} |")
    for name, text in COMMON.items():
        rows.append(f"| `{name}` | [condition](README.md#match-and-unless) | none | {text} |")
    return "\n".join(rows)


def layer_table(layers: list[Schema]) -> str:
    """All layers, as the table of docs/layers/README.md."""
    rows = ["| Layer | Name in files | Phase | What it does |", "| --- | --- | --- | --- |"]
    for layer in layers:
        link = f"[{layer['class']}]({layer['name']}.md)"
        rows.append(f"| {link} | `{layer['name']}` | {layer['phase']} | {cell(layer['summary'])} |")
    return "\n".join(rows)


def server_table(server: Schema) -> str:
    """The options of the server, as the table of docs/reference/server-options.md."""
    rows = ["| Option | On the command line | Type | Default | Meaning |", "| --- | --- | --- | --- | --- |"]
    for name, declared in server["properties"].items():
        option = {**server["$defs"].get(declared.get("$ref", "").rpartition("/")[2], {}), **declared}
        flag = "--" + name.replace("_", "-")
        default = ", ".join(map(str, as_list(option["default"])))
        default = f"`{default}`" if default else "none"
        meaning = cell(sentence(option, tick="`"))
        rows.append(f"| `{name}` | `{flag}` | {server_type(option)} | {default} | {meaning} |")
    return "\n".join(rows)


def server_type(option: Schema) -> str:
    """The type of one of the server's options in words; measures are explained on the page."""
    if option.get("type") == "array":
        items = server_type(option["items"])
        return f"list of {'texts' if items == 'text' else items}"
    # What may be left out refers to its type beside null.
    referring = next((choice for choice in option.get("anyOf", []) if "$ref" in choice), option)
    referred = referring.get("$ref", "").rpartition("/")[2]
    words = {
        "UnixOwner": "text",
        "Bind": "[places](#places)",
        "Span": "[time](#times-and-sizes)",
        "Size": "[size](#times-and-sizes)",
        "SpanOrOff": "[time](#times-and-sizes) or off",
        "AddressRange": "address ranges",
        "Workers": "number or `auto`",
        "Connections": "number or `auto`",
        "AddressLimit": "number, `auto` or `off`",
    }
    return words.get(referred) or page_type(option)


def page_type(option: Schema) -> str:
    """The type of an option in words."""
    kinds = [kind for kind in as_list(option.get("type")) if kind != "null"]
    if "enum" in option:
        return " or ".join(f"`{json.dumps(choice)}`" for choice in option["enum"] if choice is not None)
    if "oneOf" in option:
        return " or ".join(f"`{choice['const']}`" for choice in option["oneOf"])
    if option.get("x-supplied") == "application":
        return "application"
    if kinds == ["array"]:
        return f"list of {page_type(option.get('items', {}))}s"
    if kinds == ["object"] and isinstance(option.get("additionalProperties"), dict):
        return f"table of {page_type(option['additionalProperties'])}s"
    if option.get("format") == "path":
        return "path"
    words = {"string": "text", "boolean": "true or false", "number": "number"}
    if kinds == ["integer"]:
        limits = (option.get("minimum"), option.get("maximum"))
        return "integer" if None in limits else f"integer, {limits[0]} to {limits[1]}"
    return words.get(kinds[0], "table") if kinds else "value"


def pypi_readme() -> str:
    """README.md with absolute links: PyPI resolves no others."""
    repository = re.search(r'^Repository = "(.+)"$', read(ROOT / "pyproject.toml"), re.MULTILINE)
    if repository is None:
        raise PageError("pyproject.toml has no Repository under [project.urls]")
    readme = read(ROOT / "README.md")
    return re.sub(r"\]\((?![a-z]+:|#)([^()\s]+)\)", rf"]({repository[1]}/blob/main/\1)", readme)


def with_summary(path: Path, page: str, summary: str) -> str:
    """A page whose first paragraph below its title is the layer's summary."""
    page, found = re.subn(r"\A(# [^\n]+\n\n)[^\n]+(?:\n[^\n]+)*", lambda title: title[1] + summary, page)
    if not found:
        raise PageError(f"{path.relative_to(ROOT)} has no title and first paragraph; write them")
    return page


def between(path: Path, page: str, marker: str, text: str) -> str:
    """A page with ``text`` between its markers."""
    start, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    before, found_start, rest = page.partition(start)
    _, found_end, after = rest.partition(end)
    if not (found_start and found_end):
        raise PageError(f"{path.relative_to(ROOT)} lacks {start} and {end}; put them where the table belongs")
    return f"{before}{start}\n{text}\n{end}{after}"


def read(path: Path) -> str:
    """The text of a page that somebody wrote."""
    if not path.exists():
        raise PageError(f"{path.relative_to(ROOT)} is missing; write it, with the markers of its table")
    return path.read_text()


# Schemas and texts.


def options_of(layer: Schema) -> dict[str, Schema]:
    """The options of a layer, in the order of their declaration, without references to elsewhere."""
    schema = layer["schema"]
    required = schema.get("required", [])
    definitions = schema.get("$defs", {})
    return {
        name: {**resolved(option, definitions), "required": name in required}
        for name, option in schema.get("properties", {}).items()
    }


def resolved(schema: Any, definitions: Schema) -> Any:
    """A schema with what it refers to put in its place."""
    if isinstance(schema, list):
        return [resolved(member, definitions) for member in schema]
    if not isinstance(schema, dict):
        return schema
    name = schema.get("$ref", "").rpartition("/")[2]
    whole = {**definitions.get(name, {}), **{key: value for key, value in schema.items() if key != "$ref"}}
    if name:
        whole["x-named"] = name
    return {key: resolved(value, definitions) for key, value in whole.items()}


def sentence(option: Schema, tick: str = "``") -> str:
    """The description of an option on one line."""
    text = flat(option["description"])
    return text.replace("`", tick)


def as_list(value: Any) -> list[Any]:
    """A value in a list, unless it is one."""
    return value if isinstance(value, list) else [value] if value else []


if __name__ == "__main__":
    sys.exit(main())
