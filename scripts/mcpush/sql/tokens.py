"""A statement as tokens of sqlglot's tokenizer: words, brackets and dotted names.

Code that reads a statement before (or instead of) parsing it works on a `Statement`. The enclosing bracket of each
token is computed once, on first use. `TokenWriter` builds the tokens of a rewritten statement.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sqlglot.tokenizer_core import Token, TokenType

# The parts of a dotted name, and whether each was quoted.
Parts = tuple[tuple[str, bool], ...]

STRINGS = frozenset({TokenType.STRING, TokenType.RAW_STRING, TokenType.HEREDOC_STRING, TokenType.NATIONAL_STRING})
_QUOTED = STRINGS | {TokenType.IDENTIFIER}

_OPENERS = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE})
_CLOSERS = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE})
# Tokens that open or close a level, including CASE … END and angle brackets (ARRAY<STRUCT<…>>).
_STRUCTURE = _OPENERS | _CLOSERS | {TokenType.CASE, TokenType.END, TokenType.LT, TokenType.GT}


class Statement:
    """The tokens of one statement, and the text that their positions refer to.

    Immutable: methods that remove or replace tokens return a new statement. `written` is the source text if token
    positions do not determine it. `computed` is the placeholder for names that are computed at run time; None if the
    statement contains no such name.
    """

    __slots__ = ("_enclosing", "_nesting", "_written", "computed", "text", "tokens")

    def __init__(
        self, tokens: Sequence[Token], text: str, written: str | None = None, computed: str | None = None
    ) -> None:
        self.tokens = tokens
        self.text = text
        self.computed = computed
        self._written = written
        self._enclosing: list[int] | None = None
        self._nesting = 0

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def source(self) -> str:
        """The original text of the statement."""
        if self._written is not None:
            return self._written
        return self.text[self.tokens[0].start : self.tokens[-1].end + 1] if self.tokens else ""

    # -- words -----------------------------------------------------------------------------------------------

    def word(self, position: int) -> str:
        """The token at `position` in upper case; empty outside the statement, for quoted names and for strings."""
        if not 0 <= position < len(self.tokens):
            return ""
        token = self.tokens[position]
        return "" if token.token_type in _QUOTED else token.text.upper()

    def words(self, start: int = 0, end: int | None = None) -> list[str]:
        """The words of a range of tokens, one per token."""
        return [self.word(position) for position in range(len(self.tokens))[start:end]]

    def has(self, position: int, *words: str) -> bool:
        """Whether the tokens from `position` on are these words, in order."""
        return all(self.word(position + place) == word for place, word in enumerate(words))

    def kind(self, position: int) -> TokenType | None:
        """The type of the token at `position`; None outside the statement."""
        return self.tokens[position].token_type if 0 <= position < len(self.tokens) else None

    def is_string(self, position: int) -> bool:
        return self.kind(position) in STRINGS

    def skip(self, position: int, *words: str) -> int:
        """The first position, from `position` on, that is none of these words."""
        while self.word(position) in words:
            position += 1
        return position

    # -- brackets --------------------------------------------------------------------------------------------

    @property
    def enclosing(self) -> Sequence[int]:
        """For each token, the position of the innermost bracket or CASE open before it; -1 if there is none."""
        if self._enclosing is None:
            self._enclosing, self._nesting = _enclosing_brackets(self.tokens)
        return self._enclosing

    @property
    def nesting(self) -> int:
        """The nesting depth of brackets and CASE expressions, or of angle brackets if that is greater."""
        return self._nesting if self.enclosing else 0

    def same_level(self, start: int = 0) -> Iterator[int]:
        """The positions from `start` on that are at the same bracket level as `start`."""
        enclosing = self.enclosing
        if start < len(enclosing):
            bracket = enclosing[start]
            for position in range(start, len(enclosing)):
                if enclosing[position] == bracket:
                    yield position
                elif enclosing[position] < bracket:
                    return

    def find(self, *words: str, start: int = 0) -> int | None:
        """The position of the first of these words from `start` on, at its bracket level; None if there is none."""
        return next((position for position in self.same_level(start) if self.word(position) in words), None)

    def after(self, position: int) -> int:
        """The position after the bracket that closes the one at `position`; for any other token, the next position."""
        enclosing = self.enclosing
        for following in range(position + 1, len(enclosing)):
            if enclosing[following] < position:
                return following
        return len(self.tokens)

    def end_of_part(self, start: int, kind: TokenType) -> int:
        """The position of the next token of that type, or the end of the enclosing bracket or of the statement."""
        for position in self.same_level(start):
            if self.kind(position) in _CLOSERS or self.kind(position) is kind:
                return position
        return len(self.tokens)

    def items(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The range of each item of a list: the tokens between commas that are not in inner brackets."""
        begin = start
        for position in self.same_level(start):
            if position >= end:
                break
            if self.kind(position) is TokenType.COMMA:
                yield begin, position
                begin = position + 1
        yield begin, end

    # -- names -----------------------------------------------------------------------------------------------

    def name_at(self, position: int) -> tuple[Parts, int]:
        """The dotted name, string or stage at `position`, and the position after it.

        The name has no parts if `position` is past the end of the statement, or if the name ends with a dot.
        """
        if position >= len(self.tokens):
            return (), position
        if self.is_string(position):
            return ((self.tokens[position].text, True),), position + 1
        if self.tokens[position].text.startswith("@"):
            return self._stage_at(position)
        parts: list[tuple[str, bool]] = []
        while position < len(self.tokens) and not self.is_string(position):
            token = self.tokens[position]
            text, quoted = token.text, token.token_type is TokenType.IDENTIFIER
            position += 1
            if not parts and not quoted:
                text, position = self._dashed(text, position)
            ends_with_dot = text.endswith(".") and not quoted and len(text) > 1
            parts.append((text.rstrip(".") if ends_with_dot else text, quoted))
            if not ends_with_dot:
                if self.kind(position) is not TokenType.DOT:
                    return tuple(parts), position
                position += 1
        return (), position

    def _dashed(self, text: str, position: int) -> tuple[str, int]:
        """Read an unquoted BigQuery project with dashes: my-project-1.d.t, where `1.` is one token."""
        end = self.tokens[position - 1].end
        while position + 1 < len(self.tokens) and self.kind(position) is TokenType.DASH:
            dash, following = self.tokens[position], self.tokens[position + 1]
            touches = dash.start == end + 1 and following.start == dash.end + 1
            if not touches or following.token_type is TokenType.IDENTIFIER:
                break
            text, end = f"{text}-{following.text}", following.end
            position += 2
        return text, position

    def _stage_at(self, position: int) -> tuple[Parts, int]:
        """Read a stage and its path, which end at whitespace: @db.s.stage/path/file.csv."""
        start, end = self.tokens[position].start, self.tokens[position].end
        position += 1
        while position < len(self.tokens) and self.tokens[position].start == end + 1:
            end = self.tokens[position].end
            position += 1
        return ((self.text[start : end + 1], True),), position

    # -- other statements ------------------------------------------------------------------------------------

    def part(self, start: int, end: int | None = None) -> Statement:
        """The statement in a range of these tokens."""
        return Statement(self.tokens[start:end], self.text, None, self.computed)

    def without(self, positions: Collection[int]) -> Statement:
        """This statement without the tokens at these positions; the same object if there are none."""
        if not positions:
            return self
        kept = [token for position, token in enumerate(self.tokens) if position not in positions]
        return Statement(kept, self.text, self._written, self.computed)

    def named(self, tokens: Sequence[Token], computed: str | None) -> Statement:
        """This statement with other tokens, in which calls are replaced with the names they refer to."""
        return Statement(tokens, self.text, self._written, computed)

    def with_tokens(self, tokens: Sequence[Token]) -> Statement:
        """This statement with other tokens. Its source stays the original text."""
        return Statement(tokens, self.text, self.source, self.computed)


def _enclosing_brackets(tokens: Sequence[Token]) -> tuple[list[int], int]:
    """The enclosing bracket of each token, and the nesting depth.

    END closes only a CASE. A closing bracket also closes the CASEs inside it.
    """
    enclosing: list[int] = []
    opened: list[int] = []  # positions of open brackets and CASEs
    deepest = angles = most_angles = 0
    bracket = -1
    for position, token in enumerate(tokens):
        enclosing.append(bracket)
        kind = token.token_type
        if kind not in _STRUCTURE:
            continue
        if kind is TokenType.LT:
            angles += 1
            most_angles = max(most_angles, angles)
        elif kind is TokenType.GT:
            angles = max(0, angles - 1)
        elif kind in _OPENERS or kind is TokenType.CASE:
            opened.append(position)
            deepest = max(deepest, len(opened))
        elif opened and kind is TokenType.END:
            if tokens[opened[-1]].token_type is TokenType.CASE:
                opened.pop()
        elif opened:
            while len(opened) > 1 and tokens[opened[-1]].token_type is TokenType.CASE:
                opened.pop()
            opened.pop()
        bracket = opened[-1] if opened else -1
    return enclosing, max(deepest, most_angles)


# Token types of words that TokenWriter writes; all others are VAR.
_WRITTEN = {
    "(": TokenType.L_PAREN,
    ")": TokenType.R_PAREN,
    "*": TokenType.STAR,
    ",": TokenType.COMMA,
    ".": TokenType.DOT,
    "AS": TokenType.ALIAS,
    "CREATE": TokenType.CREATE,
    "EXCEPT": TokenType.EXCEPT,
    "FROM": TokenType.FROM,
    "INSERT": TokenType.INSERT,
    "INTO": TokenType.INTO,
    "NOT": TokenType.NOT,
    "NULL": TokenType.NULL,
    "RECURSIVE": TokenType.RECURSIVE,
    "REPLACE": TokenType.REPLACE,
    "SELECT": TokenType.SELECT,
    "TABLE": TokenType.TABLE,
    "TEMPORARY": TokenType.TEMPORARY,
    "THEN": TokenType.THEN,
    "USE": TokenType.USE,
    "WHEN": TokenType.WHEN,
    "WITH": TokenType.WITH,
}


class TokenWriter:
    """Builds the tokens of a rewritten statement. New tokens get the text position of the token `near`."""

    def __init__(self, near: Token) -> None:
        self.near = near
        self.tokens: list[Token] = []

    def write(self, words: str) -> None:
        """Add SQL words, separated by spaces."""
        for word in words.split():
            self.add(_WRITTEN.get(word, TokenType.VAR), word)

    def add(self, kind: TokenType, text: str) -> None:
        near = self.near
        self.tokens.append(Token(kind, text, near.line, near.col, near.start, near.end))

    def name(self, parts: Sequence[tuple[str, bool]]) -> None:
        """Add a dotted name."""
        for place, (text, quoted) in enumerate(parts):
            if place:
                self.write(".")
            self.add(TokenType.IDENTIFIER if quoted else TokenType.VAR, text)

    def names(self, names: Sequence[tuple[str, bool]]) -> None:
        """Add a list of names in brackets; nothing if it is empty."""
        for place, name in enumerate(names):
            self.write("," if place else "(")
            self.name([name])
        if names:
            self.write(")")

    def keep(self, tokens: Sequence[Token]) -> None:
        """Add tokens unchanged."""
        self.tokens.extend(tokens)
