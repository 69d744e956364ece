"""The register: whose node is whose, and who means well."""

from nestmate_protocol.ids import Address, DeviceKey, PeerId
from nestmate_protocol.simulation.nodes import Node


class Register:
    """Whose node is whose, and who means well."""

    def __init__(self) -> None:
        self._nodes: dict[Address, Node] = {}
        self._peers: dict[PeerId, Node] = {}
        self._devices: dict[DeviceKey, int] = {}
        self._addresses: dict[int, Address] = {}
        self._hostile: dict[int, None] = {}

    def enrol(
        self, node: Node, address: Address, device: DeviceKey, *, hostile: bool
    ) -> None:
        """Say whose node this is, and whether it means harm."""
        self._nodes[address] = node
        self._peers[node.peer] = node
        self._addresses[node.number] = address
        self._devices[device] = node.number
        if hostile:
            self._hostile[node.number] = None

    def node(self, address: Address) -> Node | None:
        """The node of an agent."""
        return self._nodes.get(address)

    def at(self, peer: PeerId) -> Node | None:
        """The node at a peer id."""
        return self._peers.get(peer)

    def address(self, node: Node) -> Address:
        """The agent of a node."""
        return self._addresses[node.number]

    def signs_for(self, device: DeviceKey, node: Node) -> bool:
        """Whether a device key is this node's own."""
        return self._devices.get(device) == node.number

    def turn(self, node: Node) -> None:
        """A node means harm from now on."""
        self._hostile[node.number] = None

    def is_hostile(self, node: Node) -> bool:
        """Whether a node means harm."""
        return node.number in self._hostile

    def name(self, address: Address) -> str:
        """What to call an agent in a complaint."""
        node = self._nodes.get(address)
        return address.short if node is None else node.name
