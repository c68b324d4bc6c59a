"""Object detection models of Hugging Face: a DETR built from a configuration, against its own post-processing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from workbench import wrap
from workbench.errors import DataError

transformers = pytest.importorskip(
    "transformers", reason="Hugging Face's transformers is not installed (extra: test)"
)

NAMES = {0: "N/A", 1: "person", 2: "tv", 3: "dog"}
GENERATOR = torch.Generator().manual_seed(0)
IMAGES = [torch.randint(0, 256, (3, h, w), dtype=torch.uint8, generator=GENERATOR) for h, w in ((48, 80), (70, 40))]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    stages = {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "layer_type": "basic"}
    backbone = transformers.ResNetConfig(**stages, out_features=["stage4"])
    small = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = transformers.DetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, backbone_config=backbone, d_model=32,
        encoder_ffn_dim=32, decoder_ffn_dim=32, num_queries=12, id2label=NAMES, **small,
    )  # fmt: skip
    model = transformers.DetrForObjectDetection(config)
    for parameter in model.parameters():  # so that queries differ
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.4)
    return model.train()


@pytest.fixture(scope="module")
def processor():
    return transformers.DetrImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})


def own(model, processor):
    """What the model and its processor give by themselves, target sizes as (height, width)."""
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in IMAGES]
    sizes = [image.shape[-2:] for image in IMAGES]
    model.eval()
    with torch.no_grad():
        outputs = model(**processor(images=pictures, return_tensors="pt"))
    found = processor.post_process_object_detection(outputs, threshold=0.0, target_sizes=sizes)
    return found, outputs.logits.softmax(-1)


def test_detections_are_those_of_its_own_processing(model, processor):
    detector = wrap(model, processor=processor)
    assert detector.classes == ("person", "tv", "dog")
    wanted, every = own(model, processor)
    for want, got, row in zip(wanted, detector.detect(IMAGES), every, strict=True):
        kept = want["labels"] > 0
        order = want["scores"][kept].argsort(descending=True, stable=True)
        assert 0 < len(got) == int(kept.sum())
        assert len(set(got.labels.tolist())) > 1
        torch.testing.assert_close(got.boxes, want["boxes"][kept][order], atol=1e-3, rtol=0)
        torch.testing.assert_close(got.scores, want["scores"][kept][order], atol=1e-5, rtol=0)
        assert torch.equal(got.labels, want["labels"][kept][order])
        expected = torch.cat([row[:, -1:] + row[:, :1], row[:, 1:-1]], dim=1)[kept][order]  # no object, and "N/A"
        torch.testing.assert_close(got.extras["class_scores"], expected, atol=1e-5, rtol=0)
    assert detector.notes == ()


def test_the_model_is_asked_in_evaluation_mode_and_left_as_it_was(model, processor):
    model.train()
    detector = wrap(model, ["dog", "person"], processor=processor)
    first, second = (detector.detect(IMAGES[:1])[0].scores for _ in range(2))
    assert torch.equal(first, second)
    assert model.training
    assert detector.classes == ("dog", "person")


def test_a_threshold_and_a_missing_processor_are_said(model, processor):
    assert "below 0.5, which lowers AP" in wrap(model, processor=processor, score_threshold=0.5).notes[0]
    with pytest.raises(DataError, match=r"DetrForObjectDetection: give its image processor.*processor=AutoImage"):
        wrap(model)


def test_a_pipeline_has_its_processor(model, processor):
    kind = type("ObjectDetectionPipeline", (), {"__module__": "transformers.pipelines.object_detection"})
    pipeline = kind()
    pipeline.model, pipeline.image_processor = model, processor
    found = wrap(pipeline, {"tv": "tvmonitor"}).detect([np_image() for _ in range(2)])
    assert len(found) == 2


def np_image():
    return torch.from_numpy(np.zeros((3, 40, 40), np.uint8))
