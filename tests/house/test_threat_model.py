"""The threat model and the injection matrix say the same of what is left."""

from __future__ import annotations

import re

from ops.injection_matrix import read_matrix
from tests.house.sources import ROOT


def test_what_is_left_in_the_matrix_is_explained_in_the_threat_model_and_nothing_else() -> None:
    text = (ROOT / "docs" / "explanation" / "threat-model.md").read_text("utf-8")
    [section] = re.findall(r"(?ms)^## What is left$(.*?)^## ", text)
    explained = re.findall(r"(?m)^- \*\*(.+?)\.\*\*", section)
    assert len(explained) == len(set(explained))
    assert set(explained) == {attack.left for attack in read_matrix() if attack.runs}


def test_every_attack_has_a_name_of_its_own() -> None:
    ids = [attack.id for attack in read_matrix()]
    assert len(ids) == len(set(ids))
