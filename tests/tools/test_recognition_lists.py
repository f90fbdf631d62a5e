"""Lists of pairs and of searches, as people write them, rightly and wrongly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tools.recognition.lists import draw_searches, read_index, read_pairs, read_searches


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a1.jpg", "a2.jpg", "b1.jpg", "Ada/Ada_0001.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.write_text(text, encoding="utf-8")
    return path


def test_pairs_without_identities_join_pictures_of_one_person(root: Path) -> None:
    text = "file_a,file_b,same,light\na1.jpg,a2.jpg,1,day\na2.jpg,a3.jpg,yes,night\na1.jpg,b1.jpg,0,day\n"
    pairs = read_pairs(write(root, "pairs.csv", text), root)
    assert sorted(pairs.files) == ["a1.jpg", "a2.jpg", "a3.jpg", "b1.jpg"]
    of = dict(zip(pairs.files, pairs.person.tolist(), strict=True))
    assert of["a1.jpg"] == of["a2.jpg"] == of["a3.jpg"] != of["b1.jpg"]
    assert pairs.same.tolist() == [True, True, False] and not pairs.named and pairs.fold is None
    assert pairs.labels == {"light": ("day", "night", "day")}


def test_an_index_tells_whose_the_pictures_are_and_what_else_is_known(root: Path) -> None:
    index = read_index(
        write(
            root, "index.csv", "file,person,gender\na1.jpg,Ada,female\na2.jpg,Ada,female\nb1.jpg,Bob,male\n"
        ),
        root,
    )
    path = write(root, "pairs.csv", "file_a,file_b,same,fold\na1.jpg,a2.jpg,1,x\na1.jpg,b1.jpg,0,y\n")
    pairs = read_pairs(path, root, index)
    assert pairs.named and pairs.fold is not None and pairs.fold.tolist() == [0, 1]
    assert index.of(root, pairs.files, "gender") == ("female", "female", "male")
    path.write_text("file_a,file_b,same\na1.jpg,b1.jpg,1\n")
    with pytest.raises(
        ValueError, match=r"same must agree with the identities, found another for a1.jpg and b1.jpg"
    ):
        read_pairs(path, root, index)


def test_the_text_file_of_lfw_has_its_folds(root: Path) -> None:
    text = "2\t1\nAda\t1\t2\nAda\t1\tBob\t3\nBob\t1\t2\nBob\t3\tAda\t1\n"
    pairs = read_pairs(write(root, "pairs.txt", text), root)
    assert pairs.files[0] == "Ada/Ada_0001.jpg" and "Bob/Bob_0003.jpg" in pairs.files
    assert pairs.same.tolist() == [True, False, True, False] and pairs.named
    assert pairs.fold is not None and pairs.fold.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "file_a,same\na1.jpg,1\n", "must have the columns file_a, file_b, same, found no file_b"),
        (
            "p.csv",
            "file_a,file_b,same\na1.jpg,b1.jpg,perhaps\n",
            "line 2: same must be 1 or 0, found 'perhaps'",
        ),
        ("p.csv", "file_a,file_b,same\na1.jpg,b1.jpg\n", "line 2: must have 3 fields, found another number"),
        ("p.csv", "file_a,file_b,same\n", "must list at least one pair, found none"),
        ("p.csv", "file_a,file_b,same\nx,y,1\n", "found none of them, not even x"),
        ("p.txt", "1\nAda one 2\n", "a line must have 3 or 4 words, found 'Ada one 2'"),
        ("p.txt", "Ada 1 2\n", "must begin with the number of pairs"),
    ],
)
def test_pairs_that_cannot_be_used_say_where_and_why(root: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_pairs(write(root, name, text), root)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a1.jpg,Ada,judge", "line 2: role must be one of gallery, probe, nonmate, found 'judge'"),
        ("a1.jpg,,gallery", "line 2: identity must not be empty for a gallery"),
        ("a1.jpg,Ada,nonmate", "role must be gallery for at least one picture"),
        (
            "a1.jpg,Ada,gallery\nb1.jpg,Bob,probe",
            "line 3: identity must be in the gallery for a probe, found 'Bob'",
        ),
        (
            "a1.jpg,Ada,gallery\na2.jpg,Ada,nonmate",
            "line 3: identity must not be in it for a nonmate, found 'Ada'",
        ),
    ],
)
def test_searches_that_contradict_themselves_say_where_and_why(root: Path, rows: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_searches(write(root, "list.csv", f"file,identity,role\n{rows}\n"), root)


def test_strangers_without_a_name_are_different_people(root: Path) -> None:
    text = "file,identity,role,condition\na1.jpg,Ada,gallery,\na2.jpg,Ada,probe,mask\n"
    text += "b1.jpg,,nonmate,mask\nb2.jpg,,nonmate,\n"
    found = read_searches(write(root, "list.csv", text), root)
    assert len(set(found.person.tolist())) == 3 and found.condition == ("", "mask", "mask", "")
    assert found.places("nonmate").tolist() == [2, 3]


def test_a_drawn_gallery_never_searches_for_the_photograph_that_is_enrolled() -> None:
    names = [f"p{i // 2}" for i in range(20)] + [f"q{i}" for i in range(10)]
    files = [f"{i}.jpg" for i in range(30)]
    first, second = draw_searches(files, names, 6, 2, np.random.default_rng(0))
    for found in (first, second):
        gallery, probe, nonmate = (found.places(role) for role in ("gallery", "probe", "nonmate"))
        assert len(gallery) == len(probe) == 6 and len(nonmate) == 14
        assert set(found.person[gallery]) == set(found.person[probe])
        assert not set(found.person[gallery]) & set(found.person[nonmate]) and not set(gallery) & set(probe)
    assert first.role != second.role
    with pytest.raises(ValueError, match=r"gallery: must be 1 to 10 people.*found 11"):
        draw_searches(files, names, 11, 1, np.random.default_rng(0))
