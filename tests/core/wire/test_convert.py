"""xip_core.wire.convert: values survive the wire, damaged blocks do not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xip_core.errors import FailureReason, IntegrityError, RequestError
from xip_core.model.aggregates import Aggregate
from xip_core.model.result import BreakerInfo, NodeProgress, Quarantine, Run, RunState, WorkerInfo
from xip_core.model.run_spec import KernelSignature, KernelWork, ProbeWork, RiskWork, RunSpec, SuitabilityWork
from xip_core.wire import convert
from xip_core.wire.v1 import common_pb2, run_pb2

DIGEST = "ab" * 32


def a_block() -> dict[str, np.ndarray]:
    return {
        "row": np.arange(3, dtype="<i4"),
        "pv": np.array([[1.5, np.nan], [-0.0, np.inf], [2.0**-1074, 3.0]]),
        "status": np.array([[0, 8], [0, 0], [0, 0]], dtype="|u1"),
        "scalar": np.array(7.0),
        "empty": np.empty((0, 4), dtype="<i8"),
    }


def a_column(**changes: object) -> bytes:
    """A block of one column of two doubles, with *changes* to its fields."""
    data = np.array([1.0, 2.0]).tobytes()
    fields: dict[str, object] = {"name": "pv", "dtype": "<f8", "shape": [2], "data": data}
    fields |= {"checksum": convert.zlib.crc32(data)} | changes
    return common_pb2.Block(columns=[common_pb2.Column(**fields)]).SerializeToString()  # type: ignore[arg-type]  # fields are wrong on purpose


def test_a_block_comes_back_bit_for_bit_in_its_order():
    decoded = convert.decode_block(convert.encode_block(a_block()))
    assert list(decoded) == list(a_block())
    for name, array in a_block().items():
        assert decoded[name].dtype.str == array.dtype.str, name
        assert decoded[name].shape == array.shape, name
        assert decoded[name].tobytes() == array.tobytes(), name


def test_equal_columns_give_equal_bytes():
    assert convert.encode_block(a_block()) == convert.encode_block(a_block())


def test_a_strided_view_is_sent_in_c_order():
    matrix = np.arange(12.0).reshape(3, 4)
    decoded = convert.decode_block(convert.encode_block({"pv": matrix.T[1:]}))
    assert np.array_equal(decoded["pv"], matrix.T[1:])


def test_columns_that_stay_here_are_those_that_another_would_receive():
    matrix = np.arange(4096.0).reshape(64, 64)
    columns = a_block() | {"strided": matrix.T[1:], "part": matrix[:2], "bytes": np.frombuffer(b"abcd", "<i4")}
    kept, received = convert.as_received(columns), convert.decode_block(convert.encode_block(columns))
    assert list(kept) == list(received)
    for name, array in received.items():
        ours = kept[name]
        assert (ours.dtype, ours.shape, ours.tobytes()) == (array.dtype, array.shape, array.tobytes()), name
        assert ours.flags.c_contiguous, name
        assert not ours.flags.writeable, name
        assert not np.shares_memory(ours, matrix), "a part would keep the whole in memory"
    assert columns["pv"].flags.writeable, "who made them may go on"


def test_decoded_arrays_cannot_be_written():
    decoded = convert.decode_block(convert.encode_block(a_block()))
    with pytest.raises(ValueError, match="read-only"):
        decoded["pv"][0, 0] = 1.0


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.array([1.0], dtype=">f8"), np.zeros((1,) * 5)])
def test_only_plain_little_endian_numbers_are_encoded(array):
    with pytest.raises(ValueError, match="column 'x' must be one of <f8"):
        convert.encode_block({"x": array})


def test_the_undamaged_column_of_the_next_test_is_accepted():
    assert convert.decode_block(a_column())["pv"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"checksum": 1}, "CRC-32 must be 00000001"),
        ({"dtype": "|O"}, "dtype must be one of"),
        ({"dtype": ">f8"}, "dtype must be one of"),
        ({"dtype": "<f8,<f8"}, "dtype must be one of"),
        ({"shape": [3]}, "does not fit 16 bytes"),
        ({"shape": []}, "does not fit 16 bytes"),
        ({"shape": [2, 1, 1, 1, 1]}, "at most 4 dimensions"),
        ({"shape": [2**63, 2]}, "below 2\\^31"),
        ({"shape": [0, 2**63], "data": b"", "checksum": 0}, "below 2\\^31"),
        ({"shape": [2**30, 2**30, 2**30]}, "does not fit 16 bytes"),
        ({"data": b"\0" * 15}, "does not fit 15 bytes"),
    ],
)
def test_a_column_that_contradicts_itself_is_refused(changes, complaint):
    with pytest.raises(IntegrityError, match=complaint):
        convert.decode_block(a_column(**changes))


def test_a_column_sent_twice_is_refused():
    with pytest.raises(IntegrityError, match="'pv' appears twice"):
        convert.decode_block(a_column() + a_column())


@given(position=st.integers(min_value=0), bit=st.integers(0, 7))
def test_no_flipped_bit_changes_a_number_unseen(position, bit):
    data = bytearray(a_column())
    data[position % len(data)] ^= 1 << bit
    try:
        columns = convert.decode_block(bytes(data))
    except IntegrityError:
        return
    for array in columns.values():  # only the name or an unknown field may have changed, or 16 bytes got another type
        assert array.tobytes() == np.array([1.0, 2.0]).tobytes()


@given(data=st.binary(max_size=200))
def test_random_bytes_are_refused_or_are_a_block(data):
    try:
        columns = convert.decode_block(data)
    except IntegrityError:
        return
    assert all(array.nbytes <= len(data) for array in columns.values())


def test_chunks_join_to_the_blob_and_stay_small():
    data = bytes(range(256)) * 5000
    pieces = list(convert.chunks(data))
    assert b"".join(pieces) == data
    assert [len(piece) for piece in pieces] == [1 << 20, len(data) - (1 << 20)]
    assert list(convert.chunks(b"")) == [b""]


def test_a_run_survives_the_wire():
    kernels = (("black.european", "3"), ("terms", "1.2"))
    run = Run(
        run_id="r1",
        name="sample",
        tenant="desk",
        state=RunState.COMPLETED_WITH_QUARANTINE,
        submitted_at_s=1.5,
        finished_at_s=2.5,
        cell_count=2**40,
        cells_done=7,
        cells_quarantined=1,
        worker_count=2,
        slot_count=4,
        nodes=(NodeProgress(0, "value rates", "value", "terms", "1.2", 9, 8, 1, kernels),),
        book_digest=DIGEST,
        market_digest="01" * 32,
        scenarios_digest="02" * 32,
        plan_digest="",
        message="why",
        epoch_last=5,
        first_lease_after_s=0.25,
    )
    assert convert.run_from_wire(convert.run_to_wire(run)) == run
    assert run.kernel_versions == (("terms", "1.2"), ("black.european", "3"))


def test_a_run_of_an_unknown_state_is_refused():
    with pytest.raises(IntegrityError, match="state 99 is not known"):
        convert.run_from_wire(run_pb2.Run(run_id="r1", state=99))  # type: ignore[arg-type]  # a newer scheduler


@pytest.mark.parametrize(
    "work",
    [
        RiskWork(DIGEST, DIGEST, DIGEST, ("pv", "delta"), "EUR", "2016-02-05"),
        RiskWork(
            DIGEST,
            DIGEST,
            DIGEST,
            ("pv",),
            "EUR",
            "2016-02-05",
            aggregates=(
                Aggregate("delta_gamma_var", ("desk",), q=0.99, method="monte_carlo", count=1024, covariance=DIGEST),
                Aggregate("component_var", ("desk", "book"), "parts", 0.99, "hazen", 0, ("desk",), "hist*"),
            ),
        ),
        ProbeWork("probe.spin", 100, 0.01, 3),
        KernelWork("black.european", DIGEST, ("pv",), 100),
        SuitabilityWork(DIGEST, DIGEST, DIGEST, "EUR", "2016-02-05", DIGEST, DIGEST, DIGEST, 0.04, "stress *"),
        KernelWork("desk.twice", DIGEST, signature=KernelSignature("desk.twice", "3", ("x",), ("pv", "delta"), 1e-6)),
    ],
)
def test_a_request_survives_the_wire(work):
    spec = RunSpec(name="n", tenant="t", work=work)
    assert convert.run_spec_from_wire(convert.run_spec_to_wire(spec)) == spec


def test_a_request_without_work_is_refused():
    with pytest.raises(RequestError, match="must have risk, probe, kernel, suitability or graph work") as caught:
        convert.run_spec_from_wire(run_pb2.RunSpec(name="n"))
    assert caught.value.reason == "EMPTY_REQUEST"


def test_a_digest_of_another_length_is_refused():
    with pytest.raises(RequestError, match="32 bytes, got 5"):
        convert.digest_from_wire(b"short")
    assert convert.digest_from_wire(b"") == ""


def test_quarantine_and_workers_survive_the_wire():
    quarantine = Quarantine(4, 0, 251, "T4", FailureReason.MISSING_DATA, "no curve")
    worker = WorkerInfo("w1", "host", 12, 2, "v4", "0.1.0", 1, 99, 3.5, 0.25, 1 << 26, True, 0.75)
    assert convert.quarantine_from_wire(convert.quarantine_to_wire(quarantine)) == quarantine
    assert convert.worker_info_from_wire(convert.worker_info_to_wire(worker)) == worker
    breaker = BreakerInfo("desk.twice", "1+desk-1.0", "stopped", "3 workers died at tiles of it")
    assert convert.breaker_info_from_wire(convert.breaker_info_to_wire(breaker)) == breaker
    assert convert.reason_name(5) == "MISSING_DATA"
    assert convert.reason_name(77) == "77"
