"""Transitions of a lifecycle node that are asked for when they are not possible."""

from __future__ import annotations

from typing import Any

from rclpy.action.server import RCLError
from rclpy.lifecycle import LifecycleNode


def refuse_impossible_transitions(node: LifecycleNode) -> None:
    """Answer a request for a transition that the node's state does not have with success = False, and say so.

    rclpy raises in the service's callback instead: the node ends, and whoever asked (`ros2 lifecycle set`) waits for ever.
    """
    service = node._service_change_state
    change = service.callback

    def answer(request: Any, response: Any) -> Any:
        asked, _, state = request.transition, *node._state_machine.current_state
        try:
            return change(request, response)
        except RCLError:
            node.get_logger().warning(f"transition {asked.label or asked.id} was refused: the node is {state}")
            response.success = False
            return response

    service.callback = answer
