"""Results of fal's models, in the shapes of their public schemas, and the files each one names."""

PNG_URI = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
    "WjR9awAAAABJRU5ErkJggg=="
)


def cdn(name: str) -> str:
    """Return a link to a file on fal's hosts."""
    return f"https://v3b.fal.media/files/b/lion/{name}"


def file(name: str, content_type: str | None = None, **more: object) -> dict[str, object]:
    """Return fal's File."""
    return {"url": cdn(name), "content_type": content_type, "file_name": name, "file_size": 4_404_019, **more}


def image(name: str, **more: object) -> dict[str, object]:
    """Return fal's Image."""
    return {"url": cdn(name), "width": 1024, "height": 768, "content_type": "image/jpeg", **more}


# A name, the result, and what its files are called, in order; a data URI is called by its type.
SHAPES: list[tuple[str, object, list[str]]] = [
    ("kling: one video", {"video": file("a.mp4", "video/mp4")}, ["a.mp4"]),
    ("veo: a video, and the seed", {"video": {"url": cdn("veo.mp4")}, "seed": 2**63 + 1}, ["veo.mp4"]),
    (
        "wan: a video, the prompt that was used",
        {"video": file("w.mp4"), "seed": 1, "prompt": "https://example.com/a.mp4"},
        ["w.mp4"],
    ),
    (
        "flux: a list of images",
        {
            "images": [image("1.jpeg"), image("2.jpeg")],
            "timings": {"inference": 2.130447831004858},
            "seed": 14461671801311135666,
            "has_nsfw_concepts": [False, False],
            "prompt": "a cat at https://example.com/cat.png",
        },
        ["1.jpeg", "2.jpeg"],
    ),
    ("flux in sync mode", {"images": [{"url": PNG_URI, "content_type": "image/png"}], "seed": 3}, ["data:image/png"]),
    ("nano-banana: images and a description", {"images": [image("n.png")], "description": cdn("no.png")}, ["n.png"]),
    ("birefnet: an image and its mask", {"image": image("i.png"), "mask_image": image("m.png")}, ["i.png", "m.png"]),
    ("recraft: a vector image", {"images": [file("v.svg", "image/svg+xml")]}, ["v.svg"]),
    ("ideogram: files without more", {"images": [{"url": cdn("x.png")}], "seed": 42}, ["x.png"]),
    ("esrgan: one image", {"image": image("big.png", file_size=None)}, ["big.png"]),
    ("minimax: speech", {"audio": file("s.mp3", "audio/mpeg"), "duration_ms": 10_500}, ["s.mp3"]),
    ("elevenlabs: speech and times", {"audio": file("e.mp3"), "timestamps": [{"text": "Hi"}]}, ["e.mp3"]),
    ("stable-audio: a file", {"audio_file": file("t.wav", "application/octet-stream")}, ["t.wav"]),
    (
        "demucs: stems",
        {k: file(f"{k}.mp3") for k in ("vocals", "drums", "bass")},
        ["vocals.mp3", "drums.mp3", "bass.mp3"],
    ),
    (
        "whisper: a transcript",
        {
            "text": "So, go to https://example.com",
            "chunks": [{"timestamp": [0.0, 2.5], "text": "So,"}],
            "languages": ["en"],
        },
        [],
    ),
    ("trellis: a mesh", {"model_mesh": file("m.glb", "model/gltf-binary"), "timings": {"prepare": 1.0}}, ["m.glb"]),
    (
        "hunyuan3d: a mesh in formats",
        {
            "model_glb": file("h.glb"),
            "thumbnail": file("h.png"),
            "model_urls": {"glb": {"url": cdn("h.glb")}, "obj": {"url": cdn("h.obj")}, "usdz": None},
            "seed": 1,
        },
        ["h.glb", "h.png", "h.obj"],
    ),
    (
        "tripo: a mesh and its picture",
        {"model_mesh": {"url": cdn("t.fbx?sig=1")}, "rendered_image": {"url": cdn("p.webp")}, "task_id": "x"},
        ["t.fbx?sig=1", "p.webp"],
    ),
    (
        "rodin: a mesh and textures",
        {"model_mesh": file("r.glb"), "textures": [image("diffuse.png"), image("normal.png")]},
        ["r.glb", "diffuse.png", "normal.png"],
    ),
    (
        "meshy: named links",
        {"model_urls": {"glb": cdn("y.glb"), "fbx": cdn("y.fbx")}, "texture_urls": [{"base_color": cdn("y.png")}]},
        ["y.glb", "y.fbx", "y.png"],
    ),
    (
        "flux trainer: weights and their configuration",
        {
            "diffusers_lora_file": file("pytorch_lora_weights.safetensors", "application/octet-stream"),
            "config_file": file("config.json", "application/json"),
        },
        ["pytorch_lora_weights.safetensors", "config.json"],
    ),
    (
        "a trainer with debug archives",
        {
            "lora_file": file("lora.safetensors"),
            "debug_preprocessed_output": file("debug.zip", "application/zip"),
            "experimental_multi_checkpoints_count": 1,
        },
        ["lora.safetensors", "debug.zip"],
    ),
    ("any-llm: text", {"output": "See https://example.com/x.png.", "reasoning": None, "partial": False}, []),
    ("any-llm: text that is a link", {"choices": [{"message": {"content": cdn("no.png")}}]}, []),
    ("moondream: an answer", {"output": "A red car.", "finish_reason": "stop"}, []),
    (
        "florence: boxes and a picture",
        {"results": {"bboxes": [{"x": 1, "label": "car"}]}, "image": image("f.png")},
        ["f.png"],
    ),
    (
        "sam: masks",
        {"masks": [image("k1.png"), image("k2.png")], "metadata": [{"box": [0.1, 0.2]}], "rle": "1 2 3"},
        ["k1.png", "k2.png"],
    ),
    (
        "a workflow: outputs by name",
        {
            "output": {"final": {"images": [image("w1.png")]}, "clip": cdn("w2.mp4"), "note": "done"},
            "status": "COMPLETED",
        },
        ["w1.png", "w2.mp4"],
    ),
    (
        "a workflow: outputs of its nodes",
        {"outputs": [{"node": "n1", "video": file("o.mp4")}, {"node": "n2", "image_url": cdn("o.png")}]},
        ["o.mp4", "o.png"],
    ),
    ("comfy: nested lists", {"outputs": {"9": {"images": [[image("c.png")]]}}, "images": [image("c.png")]}, ["c.png"]),
    ("ffmpeg compose: two links", {"video_url": cdn("v.mp4"), "thumbnail_url": cdn("v.jpg")}, ["v.mp4", "v.jpg"]),
    ("sync-lipsync: a link and logs", {"video": file("l.mp4"), "logs": [cdn("no.txt")]}, ["l.mp4"]),
    ("a list of links", [cdn("1.png"), cdn("2.png")], ["1.png", "2.png"]),
    ("one link", cdn("only.mp4"), ["only.mp4"]),
    ("nsfw checks", {"has_nsfw_concepts": [True], "nsfw_probability": 0.98}, []),
    ("nothing", {}, []),
    ("null", None, []),
]
