"""The reference in terraform/README.md, in the format of terraform-docs: `write` updates it, `check` prints outdated lines."""

import difflib
import re
import sys
from pathlib import Path

MODULE = Path(__file__).parents[2] / "terraform"
README = MODULE / "README.md"
BEGIN, END = "<!-- BEGIN_TF_DOCS -->\n", "<!-- END_TF_DOCS -->\n"


def main(command):
    text = README.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    fresh = before + BEGIN + reference() + END + after
    if command == "write":
        README.write_text(fresh)
    elif fresh != text:
        names = ("README.md", "what the .tf files say")
        sys.exit("\n".join(difflib.unified_diff(text.splitlines(), fresh.splitlines(), *names, lineterm="", n=0)))


def reference():
    source = "\n".join(path.read_text() for path in sorted(MODULE.glob("*.tf")))
    [terraform] = re.findall(r'required_version = "(.+)"', source)
    [aws] = re.findall(r'source += "hashicorp/aws"\n +version = "(.+)"', source)
    resources = sorted(".".join(found) for found in re.findall(r'^resource "(\w+)" "(\w+)"', source, re.MULTILINE))
    inputs = sorted(blocks(source, "variable"), key=lambda block: ("default" in block[1], block[0]))
    return "\n".join(
        table("Requirements", ["Name", "Version"], [["terraform", terraform], ["aws", aws]])
        + table("Providers", ["Name", "Version"], [["aws", aws]])
        + table("Resources", ["Name", "Type"], [[name, "resource"] for name in resources])
        + table(
            "Inputs",
            ["Name", "Description", "Type", "Default", "Required"],
            [
                [name, said["description"], code(said["type"]), code(said.get("default", "n/a")), yes("default" not in said)]
                for name, said in inputs
            ],
        )
        + table("Outputs", ["Name", "Description"], [[name, said["description"]] for name, said in blocks(source, "output")])
    )


def blocks(source, kind):
    """Yields the name and the one-line arguments of each block. `terraform fmt` has indented them by two columns."""
    for name, body in re.findall(rf'^{kind} "(\w+)" {{\n(.*?)^}}', source, re.MULTILINE | re.DOTALL):
        said = dict(re.findall(r"^  (\w+) += (.+)$", body, re.MULTILINE))
        yield name, {**said, "description": said["description"].strip('"')}


def table(title, head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return [f"## {title}", "", *(f"| {' | '.join(line)} |" for line in lines), ""]


def code(value):
    return value if value == "n/a" else f"`{value}`"


def yes(required):
    return "yes" if required else "no"


main(sys.argv[1])
