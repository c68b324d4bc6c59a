"""Several data sets as one: order, ids, what each knows, and what does not fit together."""

from __future__ import annotations

import pytest
from folders import voc_object, voc_xml, write_voc

import workbench as wb
from workbench.data import check_loading
from workbench.data.mixed import of_sources
from workbench.data.voc import CLASSES as VOC_CLASSES
from workbench.errors import DataError

SOURCES = {
    "plain": {"name": "digit-scenes", "options": {"length": 3, "seed": 1}},
    "none": {"name": "digit-scenes", "options": {"length": 0}},
    "other": {"name": "digit-scenes", "split": "val", "options": {"length": 2}},
}


@pytest.fixture
def mixed():
    return wb.load_data("mixed", sources=SOURCES)


def test_images_come_one_data_set_after_another(mixed):
    assert len(mixed) == 5
    first, last = wb.load_data("digit-scenes", length=3, seed=1), wb.load_data("digit-scenes", "val", length=2)
    for index, (data, place) in enumerate([(first, 0), (first, 1), (first, 2), (last, 0), (last, 1)]):
        image, target = mixed[index]
        assert image.equal(data.image(place))
        assert target["boxes"].equal(data.target(place)["boxes"])
        assert target["image_id"] == mixed.image_id(index) == index + 1
    assert mixed[-1][1]["image_id"] == 5
    assert mixed.file_name(0).startswith("plain/")
    assert mixed.split == "train"
    with pytest.raises(IndexError):
        mixed.image(5)


def test_some_sources_only(mixed):
    assert of_sources(mixed, ["other"]).image(0).equal(mixed.image(3))
    lengths = [len(of_sources(mixed, names)) for names in (["plain"], ["plain", "other"], ["none"], None)]
    assert lengths == [3, 5, 0, 5]
    assert len(of_sources(mixed.subset(slice(None)), ["other"])) == 2
    with pytest.raises(DataError, match=r"no source 'othr'; did you mean 'other'\?"):
        of_sources(mixed, ["othr"])
    with pytest.raises(DataError, match="only mixed data have"):
        of_sources(wb.load_data("digit-scenes", length=2), ["plain"])


def test_export_and_doctor_see_all_of_it(mixed, tmp_path):
    content = mixed.export_coco(tmp_path / "all.json")
    assert [image["id"] for image in content["images"]] == [1, 2, 3, 4, 5]
    assert len(content["annotations"]) == sum(len(target["labels"]) for _, target in mixed)


def test_other_classes_are_refused_by_name(tmp_path):
    folder = tmp_path / "voc"
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    (folder / "ImageSets/Main/train.txt").write_text("")
    other = {"name": "voc", "root": str(folder)}
    with pytest.raises(DataError, match=r"mixed.sources.photos: voc.* is detection with the classes \['aeroplane'"):
        wb.load_data("mixed", sources={"plain": SOURCES["plain"], "photos": other})
    with pytest.raises(DataError, match="classification with the classes"):
        wb.load_data("mixed", sources={"plain": SOURCES["plain"], "digits": {"name": "digits"}})


def test_sections_are_read_as_those_of_a_recipe(tmp_path):
    for section, said in (
        ({"nme": "digits"}, r"sources.a.nme does not exist \(did you mean 'name'"),
        ({}, "a.name is"),
    ):
        with pytest.raises(DataError, match=said):
            wb.load_data("mixed", sources={"a": section})
    (tmp_path / "WIDER_train/images").mkdir(parents=True)
    with pytest.raises(DataError, match="holds no wider_face_split"):
        wb.load_data("mixed", sources={"a": {"name": "wider-face", "root": tmp_path}})


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ({"a": {"name": "digit-scene"}}, r"data.options.sources.a.name 'digit-scene' does not exist"),
        ({"a": {"name": "digit-scenes", "options": {"lenght": 3}}}, r"data.options.sources.a.options.lenght"),
        ({"a": {"nam": "digit-scenes"}}, r"data.options.sources.a.nam"),
        ({"a": {"split": "train"}}, r"data.options.sources.a.name is missing"),
        ({"a": "digit-scenes"}, "sources"),
    ],
)
def test_sources_are_checked_before_anything_is_read(sources, said):
    with pytest.raises(DataError, match=said):
        check_loading("mixed", {"sources": sources})


def test_the_unions_of_vocs_years_are_what_the_recipes_say(tmp_path, monkeypatch):
    """07+12 and 07++12: trainval of both years, and of the latter the test images of 2007, too; each image once."""
    kit = tmp_path / "VOCdevkit"
    for year, split, names in (
        (2007, "trainval", ("000005", "000007")),
        (2007, "test", ("000001",)),
        (2012, "trainval", ("2008_000002", "2008_000003", "2009_000001")),
    ):
        write_voc(kit / f"VOC{year}", {name: voc_xml(voc_object("dog", 1, 1, 9, 9)) for name in names}, split=split)
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    for name, first in (("voc0712-faster-vgg16", 5), ("voc12-faster-resnet101", 6)):
        spec = wb.Recipe.load(f"inverted-attention/{name}", trial=False).data
        data = wb.load_data(spec.name, spec.split, spec.root, **spec.options)
        files = [data.file_name(index) for index in range(len(data))]
        assert len(set(files)) == len(data) == first
        assert files[:3] == ["voc07/000005.jpg", "voc07/000007.jpg", "voc12/2008_000002.jpg"]
        assert data.image_name(-1) == ("voc07-test/000001" if first == 6 else "voc12/2009_000001")
        assert data.classes == VOC_CLASSES
        assert data.annotated
        assert data.target(-1)["boxes"].tolist() == [[0, 0, 9, 9]]
