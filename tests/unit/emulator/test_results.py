"""The emulator's results, statuses and webhook bodies."""

from collections.abc import Mapping

import msgspec
import pytest

from hookcast.emulator.content import MEDIA_FOLDER
from hookcast.emulator.faults import Fault
from hookcast.emulator.hosted import makes_images
from hookcast.emulator.queue import moment
from hookcast.emulator.results import (
    BIG_RESULT_BYTES,
    outcome,
    result,
    seed,
    status_body,
    webhook_body,
)
from hookcast.fal.webhook import parse
from hookcast.jobs import Completed, Failed, Phase, Progressed
from unit.emulator.making import make_job


def _seen(value: object) -> Mapping[str, object]:
    """The value as a client sees it."""
    return msgspec.json.decode(msgspec.json.encode(value), type=dict[str, object])


@pytest.mark.parametrize(
    ("endpoint_id", "images"),
    [
        ("fal-ai/flux/dev", True),
        ("fal-ai/imagen4/preview", True),
        ("fal-ai/some-model/text-to-image", True),
        ("fal-ai/flux-pro/kontext", True),
        ("fal-ai/kling-video/v2.5-turbo/pro/text-to-video", False),
        ("fal-ai/minimax/hailuo-02/standard/image-to-video", False),
        ("image-lab/unknown", False),
        ("workflows/owner/name", False),
    ],
)
def test_endpoint_name_decides_between_images_and_video(endpoint_id: str, images: bool) -> None:
    """The last parts of the id tell what comes out; in doubt it is a video."""
    assert makes_images(endpoint_id) is images


def test_video_result_names_a_file_of_the_emulator() -> None:
    """A video result has fal's four fields, true to the file."""
    size = (MEDIA_FOLDER / "video.mp4").stat().st_size
    assert _seen(result(make_job())) == {
        "video": {
            "url": "http://127.0.0.1:8787/media/video.mp4",
            "content_type": "video/mp4",
            "file_name": "video.mp4",
            "file_size": size,
        }
    }


def test_image_result_has_fals_shape() -> None:
    """An image result names width and height, repeats the prompt and gives the seed."""
    body = _seen(result(make_job(endpoint_id="fal-ai/flux/dev")))
    assert {"images", "seed", "prompt", "has_nsfw_concepts"} <= set(body)
    assert body["prompt"] == "a cat"
    assert body["has_nsfw_concepts"] == [False]


@pytest.mark.parametrize("request_id", ["a", "b", "019f6af7"])
def test_seed_fits_into_no_double(request_id: str) -> None:
    """The seed loses digits in every client that reads JSON numbers as doubles."""
    assert 2**53 < seed(request_id) < 2**63
    assert int(float(seed(request_id))) != seed(request_id)


def test_big_result_has_a_mebibyte() -> None:
    """The fault big_result makes a result of 1 MiB and a little."""
    size = len(msgspec.json.encode(result(make_job(faults=[Fault.BIG_RESULT]))))
    assert BIG_RESULT_BYTES < size < BIG_RESULT_BYTES + 1000


def test_model_error_answers_422_with_details() -> None:
    """The model's own error is a list of details."""
    ended = outcome(make_job(faults=[Fault.MODEL_ERROR]))
    assert (ended.http_status, ended.error) == (422, "Invalid status code: 422")
    assert isinstance(ended.body["detail"], list)


def test_infrastructure_error_answers_a_text_and_a_type() -> None:
    """An error of the queue has a text as detail, and a machine-readable type."""
    ended = outcome(make_job(faults=[Fault.INFRASTRUCTURE_ERROR]))
    assert ended.http_status == 500
    assert ended.body == {"detail": ended.error, "error_type": "runner_server_error"}


def test_cancelled_job_ends_with_an_error_of_its_own() -> None:
    """A cancelled job is told apart from a failed one by its error type."""
    job = make_job(faults=[Fault.MODEL_ERROR])
    job.cancel(1.0)
    assert (outcome(job).http_status, outcome(job).error_type) == (499, "client_cancelled")


def test_status_has_the_keys_that_clients_need() -> None:
    """A queued job's status names its position and addresses; logs are null unless asked for."""
    body = _seen(status_body(make_job(), moment(0.7), with_logs=False))
    assert body == {
        "status": "IN_QUEUE",
        "queue_position": 2,
        "logs": None,
        "request_id": make_job().request_id,
        "response_url": make_job().url,
        "status_url": f"{make_job().url}/status",
        "cancel_url": f"{make_job().url}/cancel",
    }


def test_log_lines_have_time_level_and_source() -> None:
    """Log lines carry the time at which they were written, at the job's speed."""
    body = _seen(status_body(make_job(speed=2.0), moment(2.6), with_logs=True))
    assert body["logs"] == [
        {
            "message": "Runner started",
            "timestamp": "2026-09-21T14:13:21.300000+00:00",
            "level": "INFO",
            "source": "USER",
        }
    ]


def test_completed_status_has_metrics_and_no_position() -> None:
    """A completed job's status tells the time that the model took."""
    body = _seen(status_body(make_job(), moment(9.0), with_logs=False))
    assert body["metrics"] == {"inference_time": 5.6}
    assert "queue_position" not in body
    assert "error" not in body


def test_failed_status_is_completed_with_an_error() -> None:
    """There is no FAILED: the error stands beside COMPLETED."""
    body = _seen(status_body(make_job(faults=[Fault.MODEL_ERROR]), moment(9.0), with_logs=False))
    assert (body["status"], body["error"], body["error_type"]) == (
        "COMPLETED",
        "Invalid status code: 422",
        "validation_error",
    )


def test_webhook_of_a_success_is_read_as_completed() -> None:
    """The webhook has fal's six fields, and Hookcast reads the result out of it."""
    body = webhook_body(make_job(endpoint_id="fal-ai/flux/dev"))
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    assert list(fields) == ["request_id", "gateway_request_id", "status", "payload", "error", "payload_error"]
    assert isinstance(parse(body).update, Completed)


def test_webhook_of_a_model_error_has_its_details_as_payload() -> None:
    """Hookcast reads the model's own sentence out of it."""
    update = parse(webhook_body(make_job(faults=[Fault.MODEL_ERROR]))).update
    assert isinstance(update, Failed)
    assert "asked for a model error" in update.error


def test_webhook_of_an_infrastructure_error_has_no_payload() -> None:
    """An error of the queue is a text, and the payload null."""
    fields = _seen(msgspec.json.decode(webhook_body(make_job(faults=[Fault.INFRASTRUCTURE_ERROR]))))
    assert (fields["status"], fields["payload"]) == ("ERROR", None)
    assert fields["error"] == "Runner failed with a server error"


def test_webhook_with_a_payload_error_is_a_success_without_payload() -> None:
    """Hookcast reads it as a result that must be fetched, and the queue has that result."""
    job = make_job(faults=[Fault.PAYLOAD_ERROR])
    assert parse(webhook_body(job)).update == Progressed(phase=Phase.SAVING)
    assert outcome(job).http_status == 200
