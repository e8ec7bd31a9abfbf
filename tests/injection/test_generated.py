"""Whatever the style: the ambassador is in, and everything else is byte for byte what it was."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dbambassador.injection import parsing
from dbambassador.injection.manifest import File, injected, removed
from dbambassador.injection.sidecar import Wanted
from tests.injection.model import DEFINITION, expected, loaded, pods
from tests.injection.written import manifests, texts


@st.composite
def streams(draw: st.DrawFn) -> str:
    """One or two documents."""
    documents = draw(st.lists(manifests(), min_size=1, max_size=2))
    text = "\n---\n".join(draw(texts(document)) for document in documents)
    assume(loaded(text) == documents)  # PyYAML does not read back every character that it writes
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return draw(st.sampled_from(["", "\ufeff", "--- # first\n"])) + text


def of(text: str) -> str:
    return injected([File("a.yaml", text.encode())], Wanted()).text


@given(streams())
@settings(max_examples=40, deadline=None)
def test_in_any_style_the_ambassador_is_added_and_nothing_else_changes(text: str) -> None:
    once = of(text)
    assert loaded(once) == expected(text)
    assert of(once) == once
    assert removed([File("a.yaml", once.encode())]).text == text


@given(streams())
@settings(max_examples=10, deadline=None)
def test_without_libyaml_the_result_is_the_same(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parsing, "LOADER", yaml.SafeLoader)
        slowly = of(text)
    assert slowly == of(text)


@given(manifests(), st.data())
@settings(max_examples=20, deadline=None)
def test_an_older_ambassador_is_brought_up_to_date_and_nothing_else_changes(
    document: dict[str, Any], data: st.DataObject
) -> None:
    (pod,) = pods([document])
    own = dict(DEFINITION["native"])
    for key in data.draw(st.sets(st.sampled_from(sorted(set(own) - {"name", "image"})), min_size=1)):
        if key in ("args", "imagePullPolicy", "resources") or data.draw(st.booleans()):
            del own[key]
        else:
            own[key] = data.draw(st.sampled_from([None, "other"]))
    there = [*pod.get("initContainers", []), own]
    pod["initContainers"] = data.draw(st.permutations(there))
    pod["volumes"] = [*DEFINITION["volumes"], *pod.get("volumes", [])]
    text = data.draw(texts(document))
    assume(loaded(text) == [document])

    once = of(text)
    (wanted,) = loaded(text)
    for entry in next(pods([wanted]))["initContainers"]:
        if entry["name"] == "dbambassador":
            entry |= DEFINITION["native"]
    assert loaded(once) == [wanted]
    assert of(once) == once
