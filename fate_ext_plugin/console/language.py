"""The console's languages: one JSON file each, from keys to texts."""
import json
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional

FOLDER = Path(__file__).parent / "languages"


class Language:
    """:param code: as HTML says it, such as zh-CN; its file is named after what stands before the dash."""

    def __init__(self, code: str, name: str) -> None:
        self.code, self.name = code, name
        self.short = code.partition("-")[0]
        self._texts: Dict[str, str] = json.loads((FOLDER / f"{self.short}.json").read_text("utf-8"))

    def __call__(self, key: str, **values: Any) -> str:
        """:raises KeyError: it has no such text."""
        text = self._texts[key]
        return text.format(**values) if values else text

    def keys(self) -> Iterable[str]:
        return self._texts.keys()


ENGLISH, CHINESE = Language("en", "English"), Language("zh-CN", "中文")
LANGUAGES: List[Language] = [ENGLISH, CHINESE]


def language_of(short: Optional[str]) -> Optional[Language]:
    return next((language for language in LANGUAGES if language.short == short), None)


def preferred_language(weights: Mapping[str, float]) -> Optional[Language]:
    """:param weights: of languages such as ``zh-cn``, as a browser prefers them; None where it knows none of ours."""
    of_ours = {language: max((weight for name, weight in weights.items() if name.partition("-")[0] == language.short),
                             default=0.0) for language in LANGUAGES}
    best = max(LANGUAGES, key=lambda language: of_ours[language])
    return best if of_ours[best] > 0 else None
