"""A simulated run, filmed: whole first images, windows, later frames and the truth of all of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, UInt8

from syncmv4d_model.data.degradation import degrade, draw_degradation
from syncmv4d_model.data.sequence import Bodies, Sequence, Truths
from syncmv4d_model.data.surface_tracks import (
    FirstImage,
    SceneRig,
    Surface,
    SurfacePoints,
    choose_points,
    see_first_image,
    visible_points,
)
from syncmv4d_model.data.window import (
    MARGIN,
    cut_window,
    enlarge_windows,
    to_window,
    window_intrinsics,
)
from syncmv4d_model.geometry import inverse, project, transform
from syncmv4d_model.types import LABELS
from syncmv4d_sim.hand import PALM
from syncmv4d_sim.mirror import mirror_images, mirror_points, mirror_poses, mirror_rig
from syncmv4d_sim.objects import label_of
from syncmv4d_sim.physics import TARGET, TOOL, Rollout, body_poses
from syncmv4d_sim.render import SUPERSAMPLE, Frames, Renderer
from syncmv4d_sim.surface import surface

WHOLE_SUPERSAMPLE = 2
"""Of whole later frames, whose pixels are finer than the windows' anyhow."""


@dataclass(frozen=True)
class WindowQuestion:
    """What may decide about the windows: nothing that comes after frame 0."""

    images: tuple[UInt8[np.ndarray, "_ _ 3"], ...]  # as the cameras deliver them
    task: str
    boxes_px: Float[np.ndarray, "V 3 4"]  # the true ones of frame 0, for those who may know them


WindowChooser = Callable[[WindowQuestion], Float64[np.ndarray, "V 4"]]


@dataclass(frozen=True)
class FilmOptions:
    """How a run is filmed."""

    size_px: int  # of the windows
    num_points: int
    keeps_whole_frames: bool
    shadows: bool = True

    @property
    def margin_px(self) -> int:
        return round(self.size_px * (MARGIN - 1) / 2)

    @property
    def stored_px(self) -> int:
        """Side of what is stored of later frames."""
        return self.size_px + 2 * self.margin_px


@dataclass(frozen=True)
class Filmed:
    """A sequence with what is stored beside it, and the points that its tracks follow."""

    sequence: Sequence
    truths: Truths
    points: tuple[SurfacePoints, ...]


def scene_surface(rollout: Rollout) -> Surface:
    """The run's surface in the frame of the table, mirrored where the scene is."""
    body = surface(rollout)
    if not is_mirrored(rollout):
        return body
    return replace(body, vertices=mirror_points(body.vertices))


def is_mirrored(rollout: Rollout) -> bool:
    """Whether the scene shows a left hand."""
    return "left_hand" in rollout.scene.tags


def film(
    rollout: Rollout,
    body: Surface,
    rig: SceneRig,
    *,
    world_from_table: Float[np.ndarray, "4 4"],
    choose: WindowChooser,
    options: FilmOptions,
    name: str,
    seed: int,
    rng: np.random.Generator,
) -> Filmed:
    """Film a run; `rig` and `body` are in the table's frame. Tracks and cameras are returned in the world's.

    `choose` is asked for the windows once the first images are taken; `rng` spreads the points, `seed` is that of the cameras'
    flaws. ValueError when a view shows too little.
    """
    with ExitStack() as stack:
        side = max(options.stored_px, rig.height), max(options.stored_px, rig.width)
        renderer = Renderer(rollout, height=side[0], width=side[1], shadows=options.shadows)
        shoot = _Camera(stack.enter_context(renderer), mirrored=is_mirrored(rollout))
        first = shoot(rig, [0])
        seen = _see(body, rig, first.depth_m[:, 0])
        images = tuple(first.rgb[:, 0])
        boxes = np.stack([view.boxes(body) for view in seen])
        delivered = tuple(degrade(image, draw_degradation(seed, view)) for view, image in enumerate(images))
        windows = choose(WindowQuestion(delivered, rollout.scene.text, boxes))
        points = tuple(
            choose_points(view, options.num_points, rng, window_px=window)
            for view, window in zip(seen, windows, strict=True)
        )
        later = _film_later(shoot, rig, first, windows, rollout.num_frames, options)
    shot = _Shot(images, boxes, windows, points, later)
    sequence = _make_sequence(
        rollout, body, rig, shot, options, world_from_table=world_from_table, name=name, seed=seed
    )
    truths = Truths(
        margin_video=later.video,
        masks=tuple(view.mask(body) for view in seen),
        depths_m=tuple(first.depth_m[:, 0]),
        full_video=later.whole,
        bodies=film_bodies(rollout, world_from_table),
    )
    return Filmed(sequence, truths, points)


def film_bodies(rollout: Rollout, world_from_table: Float[np.ndarray, "4 4"]) -> Bodies:
    """Poses of palm, tool and target at every frame, as far as the scene shows them, of the table, and what touches what.

    The frames of a mirrored scene's bodies are mirrored with them, so that they stay right-handed. The table's frame lies in
    the middle of its top, z up, the operator at +y.
    """
    names = {PALM: "hand", TOOL: "tool", TARGET: "target"}
    names = {body: name for body, name in names.items() if body not in rollout.scene.hidden_bodies}
    poses = np.stack([body_poses(rollout, body) for body in names])
    if is_mirrored(rollout):
        poses = mirror_poses(poses)
    table = np.broadcast_to(world_from_table, (1, *poses.shape[1:]))
    return Bodies(
        names=(*names.values(), "table"),
        label=np.array([*(label_of(name) for name in names.values()), LABELS.index("unknown")], np.uint8),
        world_from_body=np.concatenate([world_from_table @ poses, table]),
        contact_tool_target=rollout.contact_tool_target,
        contact_hand_tool=rollout.contact_hand_tool,
    )


def film_again(
    rollout: Rollout, sequence: Sequence, world_from_table: Float[np.ndarray, "4 4"]
) -> UInt8[np.ndarray, "V T H W 3"]:
    """Film another run of a sequence's scene with its cameras: whole images of all frames."""
    width, height = sequence.whole_sizes[0]
    poses = sequence.camera_from_world @ world_from_table
    rig = SceneRig(sequence.view_names, sequence.whole_intrinsics, poses, height, width)
    with Renderer(rollout, height=height, width=width) as renderer:
        return _Camera(renderer, mirrored=is_mirrored(rollout))(rig, list(range(rollout.num_frames))).rgb


@dataclass(frozen=True)
class _Camera:
    """A renderer that mirrors what it films where asked to."""

    renderer: Renderer
    mirrored: bool

    def __call__(self, rig: SceneRig, frames: list[int], *, supersample: int = SUPERSAMPLE) -> Frames:
        if not self.mirrored:
            return self.renderer.film(rig, frames, supersample=supersample)
        turned = self.renderer.film(mirror_rig(rig), frames, supersample=supersample)
        return Frames(mirror_images(turned.rgb, columns=3), mirror_images(turned.depth_m, columns=3))


@dataclass(frozen=True)
class _Later:
    """All frames over the stored regions, and what tells whether points are seen in them."""

    video: UInt8[np.ndarray, "V T h w 3"]
    intrinsics: Float[np.ndarray, "V 3 3"]  # of depth_m
    depth_m: Float32[np.ndarray, "V N hd wd"]  # of frames n >= 1
    whole: tuple[UInt8[np.ndarray, "T H W 3"], ...]

    def visible(
        self, in_cameras: Float[np.ndarray, "V T K 3"], rig: SceneRig, regions: Float64[np.ndarray, "V 4"]
    ) -> Bool[np.ndarray, "V T K"]:
        """At frame 0 all: they were chosen there. Later those that nothing hides, inside the stored regions."""
        visible = np.ones(in_cameras.shape[:3], bool)
        for view, depth in enumerate(self.depth_m):
            if len(depth):
                pixels = project(rig.intrinsics[view], in_cameras[view, 1:]) + 0.5
                low, high = regions[view, :2], regions[view, :2] + regions[view, 2:]
                inside = ((pixels >= low) & (pixels <= high)).all(-1)
                visible[view, 1:] = inside & visible_points(in_cameras[view, 1:], self.intrinsics[view], depth)
        return visible


@dataclass(frozen=True)
class _Shot:
    """What was filmed of a run, and what was decided on the way."""

    images: tuple[UInt8[np.ndarray, "H W 3"], ...]
    boxes: Float[np.ndarray, "V 3 4"]
    windows: Float64[np.ndarray, "V 4"]
    points: tuple[SurfacePoints, ...]
    later: _Later


def _make_sequence(
    rollout: Rollout,
    body: Surface,
    rig: SceneRig,
    shot: _Shot,
    options: FilmOptions,
    *,
    world_from_table: Float[np.ndarray, "4 4"],
    name: str,
    seed: int,
) -> Sequence:
    positions = np.stack([view.positions(body) for view in shot.points])
    in_cameras = np.stack([_in_camera(p, pose) for p, pose in zip(positions, rig.camera_from_world, strict=True)])
    anchors = np.stack([view.pixels for view in shot.points]).astype(np.float32)
    size = {"height": options.size_px, "width": options.size_px}
    margin = options.margin_px
    return Sequence(
        name=name,
        task=rollout.scene.text,
        triplet=rollout.scene.triplet,
        view_names=rig.view_names,
        video=shot.later.video[:, :, margin : margin + options.size_px, margin : margin + options.size_px],
        intrinsics=window_intrinsics(rig.intrinsics, shot.windows, **size),
        camera_from_world=rig.camera_from_world @ inverse(world_from_table),
        positions=transform(world_from_table, positions.reshape(-1, 3)).reshape(positions.shape).astype(np.float32),
        visible=shot.later.visible(in_cameras, rig, enlarge_windows(shot.windows, options.stored_px / options.size_px)),
        label=np.stack([body.label[view.face] for view in shot.points]),
        anchors_px=to_window(anchors, shot.windows, **size),
        depth_scale=_depth_scales(in_cameras),
        frame_period_s=rollout.frame_period_s,
        reference=shot.images,
        reference_intrinsics=rig.intrinsics,
        windows_px=shot.windows,
        boxes_px=shot.boxes,
        tags=rollout.scene.tags,
        seed=seed,
    )


def _film_later(
    shoot: _Camera, rig: SceneRig, first: Frames, windows: Float64[np.ndarray, "V 4"], frames: int, options: FilmOptions
) -> _Later:
    stored = {"height": options.stored_px, "width": options.stored_px}
    regions = enlarge_windows(windows, options.stored_px / options.size_px)
    opening = np.stack([cut_window(im, r, **stored) for im, r in zip(first.rgb[:, 0], regions, strict=True)])[:, None]
    chosen = list(range(1, frames))
    if options.keeps_whole_frames and chosen:
        whole = shoot(rig, chosen, supersample=WHOLE_SUPERSAMPLE)
        cut = np.stack(
            [[cut_window(im, r, **stored) for im in view] for view, r in zip(whole.rgb, regions, strict=True)]
        )
        kept = tuple(np.concatenate([first.rgb, whole.rgb], axis=1))
        return _Later(np.concatenate([opening, cut], axis=1), rig.intrinsics, whole.depth_m, kept)
    intrinsics = window_intrinsics(rig.intrinsics, regions, **stored)
    near = SceneRig(rig.view_names, intrinsics, rig.camera_from_world, **stored)
    if not chosen:
        nothing = np.empty((len(regions), 0, options.stored_px, options.stored_px), np.float32)
        return _Later(opening, intrinsics, nothing, ())
    filmed = shoot(near, chosen)
    inside = np.stack([_inside_picture(region, rig, options.stored_px) for region in regions])[:, None]
    video = np.concatenate([opening, filmed.rgb * inside[..., None].astype(np.uint8)], axis=1)
    return _Later(video, intrinsics, np.where(inside, filmed.depth_m, 0).astype(np.float32), ())


def _inside_picture(region: Float64[np.ndarray, "4"], rig: SceneRig, side_px: int) -> Bool[np.ndarray, "h w"]:
    """Which pixels of a region lie in the camera's own picture: what leaves that leaves the window too."""
    places = (np.arange(side_px) + 0.5) / side_px
    columns, rows = region[0] + region[2] * places, region[1] + region[3] * places
    return ((rows >= 0) & (rows <= rig.height))[:, None] & ((columns >= 0) & (columns <= rig.width))


def _see(body: Surface, rig: SceneRig, depth_m: Float32[np.ndarray, "V H W"]) -> list[FirstImage]:
    views = zip(rig.intrinsics, rig.camera_from_world, depth_m, strict=True)
    size = {"height": rig.height, "width": rig.width}
    return [see_first_image(body, intrinsics, pose, depth, **size) for intrinsics, pose, depth in views]


def _in_camera(
    positions: Float[np.ndarray, "T K 3"], camera_from_world: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "T K 3"]:
    return transform(camera_from_world, positions.reshape(-1, 3)).reshape(positions.shape)


def _depth_scales(in_cameras: Float[np.ndarray, "V T K 3"]) -> Float32[np.ndarray, "V 2"]:
    depths = in_cameras[..., 2].reshape(len(in_cameras), -1)
    return np.stack([depths.min(1), depths.max(1)], axis=-1).astype(np.float32)
