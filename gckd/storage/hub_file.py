"""Files of the Hugging Face hub, from its cache on this machine or downloaded."""

from __future__ import annotations


def hub_file(name: str, file: str) -> str:
    """Path of a file of a hub repository in the hub's cache here, downloaded if it is missing or has changed.

    Without a connection the cached file is used. If there is none, this fails at the first request; a download by
    itself would repeat its request for half a minute, with two lines of output each time.

    Raises:
        Exception: offline, or an unknown, private or malformed name; of the hub's library or of its HTTP client.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache  # slow

    try:
        get_hf_file_metadata(hf_hub_url(name, file))
    except Exception:
        cached = try_to_load_from_cache(name, file)
        if isinstance(cached, str):
            return cached
        raise
    return hf_hub_download(name, file)
