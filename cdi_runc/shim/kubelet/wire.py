"""RARE. The messages of the kubelet's pod-resources (k8s.io/kubelet pkg/apis/podresources/v1/api.proto) in their bytes.

By hand, since the package protobuf needs 34 ms for its import, and is not to be had on every host. The encoding is a
list of numbered fields, and few of them are of interest. kubernetes/wire/podresources.proto has the same ones.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

Device = tuple[str, str, tuple[str, ...]]  # the resource or the claim, the ID there, CDI names as the kubelet says them

_VARINT, _EIGHT_BYTES, _TEXT, _FOUR_BYTES = 0, 1, 2, 5  # wire types


def of_get(answer: bytes, container: str) -> list[Device]:
    """What a container has by a GetPodResourcesResponse. Raises ValueError.

    >>> of_get(b"", "main")
    []
    """
    pod = b"".join(_inner(answer, 1))  # a message that is there in two parts is the two parts
    return _devices(pod, container)


def of_list(answer: bytes, namespace: str, pod: str, container: str) -> "list[Device] | None":
    """What a pod's container has by a ListPodResourcesResponse; None where there is no such pod. Raises ValueError."""
    for each in _inner(answer, 1):
        if (_word(each, 2), _word(each, 1)) == (namespace, pod):
            return _devices(each, container)
    return None


def get_request(namespace: str, pod: str) -> bytes:
    """A GetPodResourcesRequest."""
    return _field(1, pod) + _field(2, namespace)


def _devices(pod: bytes, container: str) -> "list[Device]":
    found: list[Device] = []
    for each in _inner(pod, 3):
        if _word(each, 1) != container:
            continue
        for devices in _inner(each, 2):
            resource = f"resource {_word(devices, 1)}"
            found += ((resource, _decoded(identifier), ()) for identifier in _inner(devices, 2))
        for claim in _inner(each, 5):
            way = f"claim {_word(claim, 3)}/{_word(claim, 2)}"
            for device in _inner(claim, 4):
                names = tuple(_word(name, 1) for name in _inner(device, 1))
                found.append((way, _word(device, 4), names))
    return found


def _inner(message: bytes, number: int) -> "Iterator[bytes]":
    """The texts or messages that a field has."""
    return (value for found, value in fields(message) if found == number and isinstance(value, bytes))


def _word(message: bytes, number: int) -> str:
    """The text of a field; the last one counts."""
    return _decoded([b"", *_inner(message, number)][-1])


def _decoded(text: bytes) -> str:
    return text.decode()  # an error of it is a ValueError


def fields(message: bytes) -> "Iterator[tuple[int, int | bytes]]":
    """The fields of a message: numbers and values. Raises ValueError where the bytes are no message.

    >>> list(fields(b"\\x0a\\x01a\\x10\\x05"))
    [(1, b'a'), (2, 5)]
    """
    place, end = 0, len(message)
    while place < end:
        key, place = _varint(message, place)
        kind = key & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield key >> 3, value
            continue
        if kind == _TEXT:
            size, place = _varint(message, place)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError("a field has a type that there is not")
        if size > end - place:
            raise ValueError("a field ends too soon")
        yield key >> 3, message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if place == len(message):
            raise ValueError("a number ends too soon")
        byte = message[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
    raise ValueError("a number is too large")


def _field(number: int, text: str) -> bytes:
    data = text.encode()
    size, length = len(data), b""
    while size >= 128:
        length += bytes((size & 127 | 128,))
        size >>= 7
    return bytes((number << 3 | _TEXT,)) + length + bytes((size,)) + data
