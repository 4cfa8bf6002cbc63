"""A run on labelled sounds: what it can be asked. A sound is a picture of its own, its spectrogram."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard.picture_run import PictureRun

if TYPE_CHECKING:
    from regard.data.picture_cache import Decoded
    from regard.data.picture_decode import Seen
    from regard.tasks.classification import Classification


class SoundRun(PictureRun):
    """`predict` and `look` take the file of a sound, or its bytes; a patch is a slice of time."""

    takes, things = "sound", "sounds"

    @property
    def axes(self) -> dict[str, Any]:  # type: ignore[override]
        """How its spectrograms are made, from which seconds and hertz follow."""
        from regard.tasks.labelled_sounds import SETTINGS

        return {"sound": asdict(SETTINGS[self.chopper.height])}

    def seen(self, given: str | Path | bytes) -> "tuple[Seen, list[str]]":
        """The spectrogram that the model sees, and what had to be done to the sound. Raises RegardError."""
        from regard.data.picture_decode import Crop, Seen
        from regard.data.sound import decode_sound
        from regard.data.sounds import FILLED, KINDS, picture_of
        from regard.tasks.labelled_sounds import SETTINGS

        settings, frames = SETTINGS[self.chopper.height], self.chopper.width
        sound = decode_sound(given)
        shown = "the sound" if isinstance(given, bytes) else str(given)
        pixels, kinds = picture_of(sound, frames, settings, shown)
        whole = float(settings.frames(len(sound.samples), sound.rate))
        crop = Crop(0.0, 0.0, float(settings.mels), min(whole, float(frames)))
        done = [what for bit, what in enumerate(KINDS) if kinds & ~FILLED & 1 << bit]
        return Seen(pixels, crop, (settings.mels, int(whole)), kinds), done

    def task_on(self, decoded: "Decoded") -> "Classification":
        """What is asked of it, with these sounds as its own."""
        from regard.tasks.labelled_sounds import classification
        from regard.training.ranks import Ranks

        assert self.config is not None
        return classification(decoded, self.config["settings"], Ranks(), self.config["model"], self.chopper)

    def decoded(self, source: Any, folder: Path) -> "Decoded":
        """Others, as the run's own were decoded; into a folder's cache."""
        from regard.tasks.labelled_sounds import SETTINGS

        found: Decoded = source.decode(folder, self.chopper.width, SETTINGS[self.chopper.height])
        return found
