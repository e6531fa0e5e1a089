"""Small scenes whose tools go where nobody can see at frame 0, filmed by honest cameras or by such
as know it.
"""

import numpy as np
from scipy.spatial.transform import Rotation

from syncmv4d_model import geometry
from syncmv4d_model.data.sequence import Sequence

T, K, SIZE, FOCAL = 4, 12, 48, 60.0
DOWN = np.array([0.0, 0.0, -1.0])


def framed_scene(seed: int, *, knows_future: bool, views: int = 3) -> Sequence:
    """Half of the way to the target is seen, a sidestep is not. Cameras look at the middle of the
    action, of all frames or of frame 0, give or take some centimetres. The world's axes point
    anywhere.
    """
    rng = np.random.default_rng(seed)
    tool = rng.normal(0, 0.1, 3)
    hand = tool + rng.normal(0, 0.03, 3)
    target, sidestep = rng.normal(0, 0.2, 3), rng.normal(0, 0.08, 3)
    share = np.linspace(0, 1, T)[:, None, None]
    body = rng.normal(0, 0.01, (3, K // 3, 3))
    start = (np.stack([hand, tool, target])[:, None] + body).reshape(K, 3)
    moves = np.repeat([1.0, 1.0, 0.0], K // 3)[:, None]
    points = start + share * moves * (0.5 * (target - tool) + sidestep)
    middle = (points if knows_future else points[:1]).mean((0, 1)) + rng.normal(0, 0.02, 3)
    angles = rng.uniform(0, 2 * np.pi) + np.arange(views)
    eyes = middle + np.stack([0.7 * np.cos(angles), 0.7 * np.sin(angles), np.full(views, 0.5)], axis=1)
    camera_from_scene = np.stack([geometry.look_at(eye, middle, -DOWN) for eye in eyes])
    scene_from_world = np.eye(4)
    scene_from_world[:3, :3], scene_from_world[:3, 3] = (
        Rotation.random(random_state=seed).as_matrix(),
        rng.normal(0, 1, 3),
    )
    positions = np.stack([geometry.transform(geometry.inverse(scene_from_world), points)] * views)
    camera_from_world = camera_from_scene @ scene_from_world
    intrinsics = np.array([[FOCAL, 0, (SIZE - 1) / 2], [0, FOCAL, (SIZE - 1) / 2], [0, 0, 1]])
    in_camera = geometry.transform(camera_from_world[:, None], positions)
    return Sequence(
        name=f"{seed:06d}",
        task="push a box with a brush",
        triplet="(push, brush, box)",
        view_names=tuple(f"view{view}" for view in range(views)),
        video=np.zeros((views, T, SIZE, SIZE, 3), np.uint8),
        intrinsics=np.stack([intrinsics] * views),
        camera_from_world=camera_from_world,
        positions=positions.astype(np.float32),
        visible=np.ones((views, T, K), bool),
        label=np.stack([np.repeat([1, 2, 3], K // 3).astype(np.uint8)] * views),
        anchors_px=geometry.project(np.stack([intrinsics] * views), in_camera[:, 0]).astype(np.float32),
        depth_scale=np.stack([in_camera[..., 2].min((1, 2)), in_camera[..., 2].max((1, 2))], axis=1).astype(np.float32),
        frame_period_s=0.125,
    )
