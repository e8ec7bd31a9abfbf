"""What a document says, whatever its style, as a few bytes. Pure."""

from __future__ import annotations

from hashlib import sha256

from dbambassador.injection.tree import Alias, Mapping, Node, Scalar, Sequence


def fingerprint(root: Node) -> bytes:
    """Equal for two documents if, and as good as only if, their nodes, tags, values and anchors are equal."""
    digest = sha256()
    pending: list[Node | str] = [root]
    while pending:
        node = pending.pop()
        match node:
            case str():
                said = node
            case Alias():
                said = f"*{node.anchor}"
            case Scalar():
                said = f"={node.anchor} {node.tag} {len(node.value)} {node.value}"
            case Sequence():
                said = f"[{node.anchor} {node.tag}"
                pending.append("]")
                pending += reversed(node.items)
            case Mapping():
                said = f"{{{node.anchor} {node.tag}"
                pending.append("}")
                for key, value in reversed(node.pairs):
                    pending += (value, key)
        digest.update(said.encode("utf-8", "surrogatepass") + b"\n")
    return digest.digest()
