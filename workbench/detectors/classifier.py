"""A classifier of whole images as a `Detector`: the same recipes, trainer, files and seams.

Class k (of K, from 0) is label k + 1. There is no background, so logits are [N, K]; where a seam asks for K + 1
columns, column 0 is minus infinity. The deep feature vector of an image, what the last linear layer sees, is what
hardeners see, as [N, d, 1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as V

from workbench.data.dataset import Dataset
from workbench.data.pairs import PairSet
from workbench.detectors.base import Detector, evaluating
from workbench.detectors.layers.feature_cache import FeatureCache
from workbench.detectors.layers.inputs import as_float, check_batch, check_is_target, is_empty
from workbench.detectors.layers.networks import Network, build_network, norms, split_resnet
from workbench.errors import DataError, RecipeError
from workbench.options import Count, check_options
from workbench.registry import DETECTORS
from workbench.types import Detections, HeadLayout, Losses, Proposals, RoIBatch, Score, Target, check_label


@DETECTORS.register("classifier")
class Classifier(Detector):
    """Images → deep feature vectors → logits; build one with `build`.

    Args:
        network: gives the vectors.
        size: side in pixels that the network sees; images of another size are resized to that square.
        parts: the network as what does not learn, the rest, and the stride between them; what the first gives of an
            image is then remembered.

    Example:
        >>> classifier = wb.load_detector("dfv/digits-c")
        >>> images, targets = zip(*wb.load_data("digits", split="test").subset(range(5)))
        >>> (classifier.logits(images).argmax(dim=1) + 1).tolist(), [target["label"] for target in targets]
        ([3, 6, 8, 5, 6], [3, 6, 8, 5, 6])
    """

    task = "classification"
    hardens = "vectors"

    def __init__(
        self,
        network: Network,
        classes: Sequence[str],
        *,
        size: int = 224,
        parts: tuple[torch.nn.Sequential, torch.nn.Sequential, int] | None = None,
    ):
        super().__init__()
        self.network, self.last_name = network.module, network.last_name
        self.classes, self.size = tuple(classes), size
        learning = {part for part in norms(self.network) if any(each.requires_grad for each in part.parameters())}
        self._still = tuple(part for part in norms(self.network) if part not in learning)
        self._parts = None if parts is None else parts[:2]  # in a tuple: its layers are the network's
        self.cache = None if parts is None else FeatureCache(parts[2])
        self.register_buffer("mean", torch.tensor(network.seen.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(network.seen.std).view(3, 1, 1), persistent=False)
        self.train()  # and frozen BatchNorm not

    @classmethod
    def build(cls, classes: Sequence[str], *, backbone: dict, size: Count | None = None) -> Classifier:
        """A classifier from plain values.

        Args:
            backbone: options of `networks.build_network`, and "cache": remember the maps of what does not learn.
            size: pixels; None: 32 for the small network, 112 for those of faces, else 224.
        """
        options = dict(backbone)
        cached = options.pop("cache", False)
        if "name" not in options:
            raise RecipeError("detector.backbone.name is missing; choose 'small' or a classifier of torchvision")
        if not classes:
            raise RecipeError("detector: a classifier needs at least one class")
        options = check_options("detector.backbone", build_network, options, given=("num_classes",))
        network = build_network(len(classes), **options)
        parts = split_resnet(network, options["name"]) if cached else None
        if network.seen.only and size not in (None, network.seen.size):
            raise RecipeError(
                f"detector.size is {size}; {options['name']} sees {network.seen.size} px and no other size"
            )
        size = size or network.seen.size
        if parts is not None and size % parts[2]:
            raise RecipeError(
                f"detector.size is {size}; expected a multiple of {parts[2]}, the stride of the maps that "
                "backbone.cache remembers: else they are not those that are evaluated. Change it or leave cache out"
            )
        return cls(network, classes, size=size, parts=parts)

    @property
    def last(self) -> torch.nn.Module:
        """The last linear layer; `.logits` classifies vectors."""
        return self.network.get_submodule(self.last_name)

    @property
    def num_features(self) -> int:
        """d, the length of a deep feature vector."""
        return self.last.in_features

    def train(self, mode: bool = True) -> Classifier:
        """Training mode, in which BatchNorm that does not learn stays in evaluation mode."""
        super().train(mode)
        for part in self._still:
            part.eval()
        return self

    def head_layout(self) -> HeadLayout:
        """What an adversary must know of the head: it sees vectors."""
        return HeadLayout(self.num_features, 1)

    def losses(
        self, images: Sequence[Tensor], targets: Sequence[Target], generator: torch.Generator | None = None
    ) -> Losses:
        """`classifier`, the cross entropy of the (hardened) vectors, and `adversary` where the hardener learns.

        Raises:
            DataError: images or targets that are not what `workbench.types` says.
        """
        labels = self._labels(images, targets)
        return self.vector_losses(self._vectors(self.prepare(images), remember=True), labels, generator)

    def vector_losses(self, vectors: Tensor, labels: Tensor, generator: torch.Generator | None = None) -> Losses:
        """The losses from live vectors [N, d] and labels [N] on."""
        losses = Losses()
        if self.hardener is not None:
            source = torch.default_generator if generator is None else generator
            index = torch.arange(len(vectors), device=vectors.device)
            hardened = self.hardener(RoIBatch(vectors[:, :, None, None], labels, index, self.head_score(), source))
            vectors = hardened.features[:, :, 0, 0]
            if hardened.adversary_loss is not None:
                losses["adversary"] = hardened.adversary_loss
        losses["classifier"] = F.cross_entropy(self.last.logits(vectors).float(), labels - 1)
        return losses

    def features(self, images: Sequence[Tensor], *, remember: bool = False) -> Tensor:
        """Deep feature vectors [N, d], in evaluation mode, no gradients.

        Args:
            remember: use the cache.
        """
        with evaluating(self):
            return self._vectors(self.prepare(images), remember=remember)

    def logits_of(self, vectors: Tensor) -> Tensor:
        """Logits [N, K] of deep feature vectors [N, d], also of pseudo-DFVs; no gradients."""
        with torch.no_grad():
            return self.last.logits(vectors.to(self.device))

    def logits(self, images: Sequence[Tensor]) -> Tensor:
        """Logits [N, K] float32, in evaluation mode, no gradients."""
        return self.logits_of(self.features(images)).float()

    def classify(self, images: Sequence[Tensor]) -> Tensor:
        """Probabilities [N, K]."""
        return self.logits(images).softmax(dim=1)

    def detect(
        self, images: Sequence[Tensor], proposals: Sequence[Proposals | Tensor] | None = None
    ) -> list[Detections]:
        """The likeliest class of each image, as one detection that fills it."""
        if is_empty(images):
            return []
        found = []
        for image, chances in zip(images, self.classify(images), strict=True):
            height, width = image.shape[-2:]
            score, place = chances.max(dim=0)
            box = torch.tensor([[0.0, 0.0, width, height]], device=chances.device)
            found.append(Detections(box, place[None] + 1, score[None]))
        return found

    def differences(self, pairs: PairSet, *, batch_size: int = 64) -> Tensor:
        """Difference vectors [M, d, 1, 1] of pairs, v_occluded - v_clean."""
        clean, occluded = (dataset_features(self, side, batch_size) for side in (pairs.clean, pairs.occluded))
        index = torch.from_numpy(pairs.index).to(clean.device)
        return (occluded[index[:, 1]] - clean[index[:, 0]])[:, :, None, None]

    def head_score(self) -> Score:
        """The last layer as a function of vectors [N, d, 1, 1], parameters frozen; logits [N, K + 1]."""
        weight, bias = self.last.weight.detach(), self.last.bias.detach()

        def logits(features: Tensor) -> Tensor:
            found = F.linear(features.flatten(1), weight, bias)
            return F.pad(found, (1, 0), value=-torch.inf)

        return Score(logits)

    def prepare(self, images: Sequence[Tensor]) -> Tensor:
        """Images as the network sees them [N, 3, size, size]."""
        square = [self.size, self.size]
        floats = as_float(images, self.device)
        sized = [i if list(i.shape[-2:]) == square else V.resize(i, square, antialias=True) for i in floats]
        batch = (torch.stack(sized) - self.mean) / self.std
        return batch.contiguous(memory_format=torch.channels_last)

    def _vectors(self, batch: Tensor, *, remember: bool) -> Tensor:
        """[N, 3, size, size] → [N, d]."""
        if self._parts is None or self.cache is None or not remember:
            vectors = self.network(batch)
        else:
            frozen, rest = self._parts
            vectors = rest(self.cache(frozen, batch))
        if not isinstance(vectors, Tensor) or vectors.ndim != 2:
            raise RecipeError(
                f"detector.backbone.last: before {self.last_name} the network has {_shape(vectors)}, not "
                "vectors [N, d]; name its last linear layer"
            )
        if vectors.shape[1] != self.num_features:
            raise RecipeError(
                f"detector.backbone.last: {self.last_name} takes {self.num_features} numbers, but the network ends "
                f"in {vectors.shape[1]}: other layers follow it; name its last linear layer"
            )
        return vectors

    def _labels(self, images: Sequence[Tensor], targets: Sequence[Target]) -> Tensor:
        check_batch(images, targets=targets)
        for index, target in enumerate(targets):
            check_is_target(target, index)
            label, image_id = target.get("label"), target.get("image_id", index)
            if label is None:
                raise DataError(f'image {image_id} has no target["label"]; a classifier needs data such as "digits"')
            try:
                check_label(label, len(self.classes))
            except DataError as error:
                raise DataError(f"image {image_id}: {error}") from None
        return torch.tensor([target["label"] for target in targets], device=self.device)


def dataset_features(classifier: Classifier, data: Dataset, batch_size: int = 64) -> Tensor:
    """Deep feature vectors [N, d] of all images of a data set, in order."""
    parts = [
        classifier.features([data.image(i) for i in range(start, min(start + batch_size, len(data)))], remember=True)
        for start in range(0, len(data), batch_size)
    ]
    return torch.cat(parts) if parts else torch.zeros(0, classifier.num_features, device=classifier.device)


def _shape(value: object) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
