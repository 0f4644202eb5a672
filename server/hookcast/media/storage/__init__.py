"""Where files are kept: a directory, or a bucket of S3, Google Cloud Storage or Azure."""

from hookcast.media.storage.base import Draft, Storage, Stored
from hookcast.media.storage.names import INCOMING, folder_of, is_key, key_of
from hookcast.media.storage.opening import open_storage

__all__ = ["INCOMING", "Draft", "Storage", "Stored", "folder_of", "is_key", "key_of", "open_storage"]
