"""What a data set holds, counted by hand; nothing is decoded, and the time grows with the number of images."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from folders import coco_content, write_coco
from hypothesis import given, settings
from hypothesis import strategies as st
from listed_data import Listed

import workbench as wb
from workbench.data import load_data
from workbench.errors import DataError

NAN = float("nan")
IMAGES = [
    [(1, 50, 25, 150, 75, 0.0, 0)],  # iconic: a quarter of the image, in its middle
    [(1, 0, 0, 20, 20, 0.1, 0), (1, 40, 0, 60, 20, 0.3, 0), (2, 0, 50, 100, 100, NAN, 0)],
    [],
    [(2, 50, 25, 150, 75, 0.7, 0), (1, 0, 0, 200, 100, NAN, 1)],  # a crowd of cats behind a dog
    [(2, 0, 0, 120, 100, 0.04, 0)],  # large, and not in the middle
    [(1, 90, 40, 110, 60, 0.5, 0)],  # in the middle, and not large
]


@pytest.fixture(scope="module")
def found():
    return wb.statistics(Listed(IMAGES), progress=False)


def test_numbers_by_hand(found):
    assert (found.num_images, found.num_objects, found.num_crowds) == (6, 7, 1)
    assert found.by_class["instances"].to_dict() == {"cat": 4, "dog": 3, "cup": 0}
    assert found.by_class["images"].to_dict() == {"cat": 4, "dog": 3, "cup": 0}
    assert found.by_class["crowds"].to_dict() == {"cat": 1, "dog": 0, "cup": 0}
    assert found.per_image["categories"].tolist() == [1, 3, 2, 0]  # 0, 1, 2, 3 categories
    assert found.per_image["instances"].tolist() == [1, 4, 0, 1]
    assert found.together.to_numpy().tolist() == [[4, 2, 0], [2, 3, 0], [0, 0, 0]]
    assert found.beside_each_other("cat").to_dict() == {"dog": 0.5, "cup": 0.0}
    summary = found.summary
    assert summary["categories"] == 2
    assert summary["categories per image"] == pytest.approx(7 / 6)
    assert summary["instances per image"] == pytest.approx(7 / 6)
    assert summary["instances per category"] == 3.5
    assert summary["share of images with one category"] == 0.5
    assert summary["share of images without objects"] == pytest.approx(1 / 6)


def test_sizes_and_iconic_images_by_hand(found):
    # Boxes of 5000, 400, 400, 5000, 5000, 12000 and 400 of 20000 pixels.
    sizes = found.sizes.set_index("high")["instances"]
    assert sizes[sizes > 0].to_dict() == {0.03: 3, 0.3: 3, 1.0: 1}
    sizes = {"cat": 0.02, "dog": 0.25, "cup": NAN}
    assert found.by_class["size"].round(6).to_dict() == pytest.approx(sizes, nan_ok=True)
    assert found.iconic.tolist() == [0]
    assert found.summary["share of iconic images"] == pytest.approx(1 / 6)
    again = wb.statistics(Listed(IMAGES), large=0.02, middle=1.0, progress=False)
    assert again.iconic.tolist() == [0, 4, 5]
    # Areas: 400 is small, 5000 medium, 12000 large.
    assert [found.summary[f"share of {name} instances"] for name in ("small", "medium", "large")] == pytest.approx(
        [3 / 7, 3 / 7, 1 / 7]
    )


def test_occlusion_by_category_by_hand(found):
    table = found.by_occlusion
    assert table.loc["cat"].tolist() == pytest.approx([4, (0.0 + 0.1 + 0.3 + 0.5) / 4, 1, 1, 1, 1, 0])
    assert table.loc["dog"].tolist() == pytest.approx([2, 0.37, 1, 0, 0, 0, 1])
    assert table.loc["cup", "n"] == 0
    assert found.summary["share of instances hidden by 20 % or more"] == 0.5
    assert found.notes == ()
    bare = wb.statistics(Listed([[(1, 0, 0, 9, 9, NAN, 0)]]), progress=False)
    assert bare.notes == ("The occlusion of the objects is unknown.",)
    assert "occlusion" not in bare.figure_names


def test_quoted_figures_stand_beside_and_are_marked(found):
    table = found.beside()
    assert table.columns.tolist()[:2] == ["listed all", "COCO (quoted)"]
    assert all(column.endswith("(quoted)") for column in table.columns[1:])
    assert table.loc["categories per image"].tolist() == ["1.2", "3.5", "–", "< 2", "< 2", "–"]
    assert table.loc["share of images with one category", "VOC 2012 (quoted)"] == "> 60 %"
    assert table.loc["categories", "SUN (quoted)"] == "3,819"
    assert (table.loc["share of iconic images"].tolist()[1:]) == ["–"] * 5  # nobody has said it
    assert "quoted" in found._repr_html_()
    assert "listed all, 6 images, 7 instances, 1 crowds" in repr(found)


def test_coco_needs_no_picture_and_estimates_occlusion(tmp_path: Path):
    data = load_data("coco", root=write_coco(tmp_path, coco_content()))
    for path in (tmp_path / "train").iterdir():
        path.unlink()
    found = wb.statistics(data, progress=False)
    assert (found.num_images, found.num_objects, found.num_crowds) == (2, 2, 1)
    assert found.by_occlusion["n"].to_dict() == {"person": 1, "dog": 1}
    assert found.notes == ("Occlusion is estimated from overlapping masks.",)
    none = wb.statistics(data, occlusion_images=0, progress=False)
    assert none.by_occlusion["n"].sum() == 0
    assert "on 0 of 1 images" in none.notes[0]


ROW = st.tuples(
    st.integers(1, 3),
    st.floats(0, 99),
    st.floats(0, 49),
    st.floats(100, 200),
    st.floats(50, 100),
    st.floats(0, 1) | st.just(NAN),
    st.booleans(),
)


@given(st.lists(st.lists(ROW, max_size=4), min_size=1, max_size=6))
@settings(max_examples=30)
def test_tables_agree_with_each_other(images):
    found = wb.statistics(Listed(images), progress=False)
    assert found.by_class["instances"].sum() == found.num_objects == found.sizes["instances"].sum()
    assert found.per_image.sum().tolist() == [len(images)] * 2
    numbers = found.per_image.index.to_numpy()
    assert (found.per_image["instances"] * numbers).sum() == found.num_objects
    assert (
        (found.per_image["categories"] * numbers).sum() == np.trace(found.together) == found.by_class["images"].sum()
    )
    assert (found.together.to_numpy() == found.together.to_numpy().T).all()
    assert found.by_occlusion.iloc[:, 2:].sum(axis=1).tolist() == found.by_occlusion["n"].tolist()
    assert found.beside().notna().all(axis=None)


def test_what_cannot_be_counted_is_said():
    with pytest.raises(DataError, match="is a list; expected a data set"):
        wb.statistics([1, 2])
    with pytest.raises(DataError, match="has no images"):
        wb.statistics(Listed([]))
    with pytest.raises(DataError, match=r"large is 2; expected a share"):
        wb.statistics(Listed(IMAGES), large=2)
    with pytest.raises(DataError, match="occlusion_images is -1"):
        wb.statistics(Listed(IMAGES), occlusion_images=-1)
    with pytest.raises(DataError, match=r"has no class 'cats'; did you mean 'cat'\?"):
        wb.statistics(Listed(IMAGES), progress=False).beside_each_other("cats")


def test_time_grows_with_the_number_of_images():
    """Four times as many images take about four times as long: nothing looks at pairs of images or of objects."""

    def seconds(images: int) -> float:
        data = Listed((IMAGES * (images // len(IMAGES) + 1))[:images])
        best = float("inf")
        for _ in range(2):
            begin = time.process_time()
            wb.statistics(data, progress=False)
            best = min(best, time.process_time() - begin)
        return best

    assert seconds(2400) < 8 * seconds(600)
