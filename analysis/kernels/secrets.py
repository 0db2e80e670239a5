"""Places in texts that may begin a secret: one pass over characters without a branch, then a closer look at a few of them.

A text is ``lengths[row]`` units from ``begins[row]`` on, 16 bits each (strings, arrays of characters) or 8 (arrays of bytes).
Every character has a code of six bits; three codes in a row are a number below 2**18, and a bit for each such number says
whether something may begin there: a known beginning of secrets (an *anchor*), which is then compared as a whole, or a shape
(a card number, an e-mail address), which is then looked at digit by digit. Letters of both cases have one code.
"""

from __future__ import annotations

import numpy as np

from analysis.kernels.compile import kernel
from analysis.kernels.instructions import prefetch

#: Codes: 0 stands for everything else, letters from 1 on, then digits, then these characters.
LETTERS, DIGITS, MARKS_FIRST = 1, 27, 37
MARKS = "-_.:/=@+~<>$ \"'#&;%,?\\"
DASH, UNDERSCORE, DOT, COLON, SLASH, AT, PLUS, SPACE, QUOTE, APOSTROPHE, LESS, PERCENT = (
    MARKS_FIRST + MARKS.index(one) for one in "-_.:/@+ \"'<%"
)
CODE_BITS, CODES, TRIGRAMS = 6, 64, 1 << 18
LAST_DIGIT, ASCII = 36, 128
_WINDOW, _CODE = TRIGRAMS - 1, CODES - 1

#: Shapes, numbered behind the anchors: number of anchors + one of these.
CARD, SOCIAL_SECURITY, PHONE, EMAIL, IBAN, KEY_40, LOGIN = range(7)
SHAPES = 7

#: Columns of ``tally``, one row per anchor and shape: places written, places left out, the text of the last one, how many it has.
WRITTEN, LEFT_OUT, LAST_TEXT, IN_TEXT = range(4)
_SHORTEST_CARD, _LONGEST_CARD, _KEY_LENGTH, _LONGEST_LOGIN = 13, 19, 40, 330
_LONGEST_LOCAL_PART, _LONGEST_DOMAIN, _LONGEST_TOP_LEVEL = 64, 253, 18
_FEWEST_DIGITS, _LONGEST_PHONE = 9, 32
_TEXTS_AHEAD = 8
#: Characters between two closer looks.
CHUNK = 4096


@kernel
def code_at(units, place, codes):
    return np.int64(codes[min(np.int64(units[place]), ASCII)])


@kernel
def is_alphanumeric(code):
    return 0 < code <= LAST_DIGIT


@kernel
def mark_places(units, first, last, codes, bits, ends_run, state, events):
    """Write the places in [first, last) where something may begin or a run of 40 characters ended; how many there are.

    state int64[2]: the codes of the last three characters, and where the run began; goes on from chunk to chunk
    """
    window, run, count = state[0], state[1], 0
    for at in range(first, last):
        code = np.int64(codes[min(np.int64(units[at]), ASCII)])
        window = ((window << CODE_BITS) | code) & _WINDOW
        ends = np.int64(ends_run[code])
        known = (np.int64(bits[window >> 3]) >> (window & 7)) & 1
        events[count] = at
        count += known | (ends & np.int64(at - run == _KEY_LENGTH))
        run = at + 1 if ends else run
    state[0], state[1] = window, run
    return count


@kernel
def digits_from(units, place, end, codes):
    """How many digits stand in a row at ``place``, one more than the longest card number at most."""
    count = 0
    while place + count < end and count <= _LONGEST_CARD and DIGITS <= code_at(units, place + count, codes) <= LAST_DIGIT:
        count += 1
    return count


@kernel
def has_check_digit(units, place, stop, codes):
    """Luhn's formula over the digits from ``place`` to ``stop`` - 1; other characters between them count for nothing."""
    total, double = 0, False
    for at in range(stop - 1, place - 1, -1):
        digit = code_at(units, at, codes) - DIGITS
        if digit < 0 or digit > 9:
            continue
        if double:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
        double = not double
    return total % 10 == 0


@kernel
def shape_of_digits(units, place, end, codes):
    """CARD or SOCIAL_SECURITY for groups of digits that begin at ``place``, else -1."""
    first = digits_from(units, place, end, codes)
    stop = place + first
    if _SHORTEST_CARD <= first <= _LONGEST_CARD:
        found = CARD
    elif (first == 4 or first == 3) and stop + 1 < end:
        mark = code_at(units, stop, codes)
        if mark != DASH and (mark != SPACE or first == 3):
            return -1
        second = digits_from(units, stop + 1, end, codes)
        found = SOCIAL_SECURITY if first == 3 else CARD
        # 4-4-4-4 and 4-6-5 are cards, 3-2-4 is a social security number.
        left = 8 if first == 4 and second == 4 else 5 if first == 4 and second == 6 else 4 if first == 3 and second == 2 else -1
        stop += 1 + second
        while left > 0 and stop + 1 < end and code_at(units, stop, codes) == mark:
            group = digits_from(units, stop + 1, end, codes)
            if group != (5 if left == 5 else 4):
                return -1
            stop += 1 + group
            left -= group
        if left != 0:
            return -1
    else:
        return -1
    if stop < end and is_alphanumeric(code_at(units, stop, codes)):
        return -1
    return found if found == SOCIAL_SECURITY or has_check_digit(units, place, stop, codes) else -1


@kernel
def is_phone(units, place, end, codes):
    """Whether enough digits follow, the first of them no zero (a time zone begins with one), with at most one mark and one
    bracket between groups of them."""
    if code_at(units, place, codes) == DIGITS:
        return False
    digits, marks = 0, 0
    for at in range(place, min(end, place + _LONGEST_PHONE)):
        code = code_at(units, at, codes)
        if DIGITS <= code <= LAST_DIGIT:
            digits, marks = digits + 1, 0
        elif code in (SPACE, DOT, DASH, 0) and marks < 2:
            marks += 1
        else:
            break
    return digits >= _FEWEST_DIGITS


@kernel
def is_email(units, place, begin, end, codes):
    """Whether an address stands around the at sign at ``place``."""
    first = place
    while first > begin and place - first < _LONGEST_LOCAL_PART + 1:
        code = code_at(units, first - 1, codes)
        if not (is_alphanumeric(code) or code in (DOT, DASH, UNDERSCORE, PLUS, PERCENT)):
            break
        first -= 1
    if first == place or place - first > _LONGEST_LOCAL_PART or not is_alphanumeric(code_at(units, first, codes)):
        return False
    # A colon before it makes it part of an address with a password.
    if first > begin + 1 and code_at(units, first - 1, codes) == COLON and code_at(units, first - 2, codes) != SPACE:
        return False
    last, label, dots, letters = place + 1, 0, 0, True
    while last < end and last - place <= _LONGEST_DOMAIN:
        code = code_at(units, last, codes)
        if code == DOT and label > 0 and last + 1 < end and is_alphanumeric(code_at(units, last + 1, codes)):
            dots, label, letters = dots + 1, 0, True
        elif is_alphanumeric(code) or (code == DASH and label > 0):
            label, letters = label + 1, letters and 0 < code < DIGITS
        else:
            break
        last += 1
    if last < end and (code_at(units, last, codes) == AT or code_at(units, last, codes) == UNDERSCORE):
        return False
    return dots > 0 and letters and 2 <= label <= _LONGEST_TOP_LEVEL


@kernel
def has_login(units, place, end, codes):
    """Whether a colon and then an at sign stand before the next slash, space or quote: user:password@ of an address."""
    colon = False
    for at in range(place, min(end, place + _LONGEST_LOGIN)):
        code = code_at(units, at, codes)
        if code == AT and colon:
            return True
        if code in (SLASH, SPACE, QUOTE, APOSTROPHE, LESS):
            return False
        colon |= code == COLON
    return False


@kernel
def shape_at(units, at, begin, end, codes):
    """The shape that the character at ``at`` tells of, -1 for none: the first digit of a group, the third character of an
    account, an at sign, the last slash of ``://``."""
    code = code_at(units, at, codes)
    before = code_at(units, at - 1, codes) if at > begin else np.int64(0)
    if code == AT:
        return EMAIL if is_email(units, at, begin, end, codes) else -1
    if code == SLASH:
        return LOGIN if has_login(units, at + 1, end, codes) else -1
    if code < DIGITS or code > LAST_DIGIT:
        return -1
    if not is_alphanumeric(before):
        shape = shape_of_digits(units, at, end, codes)
        return PHONE if shape < 0 and before == PLUS and is_phone(units, at, end, codes) else shape
    if before < DIGITS and at - 2 >= begin and at + 1 < end and DIGITS <= code_at(units, at + 1, codes) <= LAST_DIGIT:
        alone = at - 3 < begin or not is_alphanumeric(code_at(units, at - 3, codes))
        return IBAN if alone and 0 < code_at(units, at - 2, codes) < DIGITS else -1
    return -1


@kernel
def is_anchor(units, place, end, codes, letters, first, last):
    """Whether the codes ``letters[first:last]`` stand at ``place``."""
    if place + last - first > end:
        return False
    same = True
    for at in range(last - first):
        same &= code_at(units, place + at, codes) == letters[first + at]
    return same


@kernel
def note(text, place, which, limits, tally, texts, places, anchors, count):
    """Write down one place, as long as there is room for it; how many there are then."""
    if tally[which, LAST_TEXT] != text:
        tally[which, LAST_TEXT], tally[which, IN_TEXT] = text, 0
    tally[which, IN_TEXT] += 1
    if tally[which, IN_TEXT] > limits[0] or tally[which, WRITTEN] >= limits[1] or count >= texts.size:
        tally[which, LEFT_OUT] += 1
        return count
    tally[which, WRITTEN] += 1
    texts[count], places[count], anchors[count] = text, place, which
    return count + 1


@kernel
def find_candidates(
    units, begins, lengths, codes, bits, ends_run, heads, following, letters, firsts, marks, limits, tally, texts, places, anchors
):
    """Write text, place in it (characters) and anchor or shape of every place that may begin a secret; how many were written.

    codes uint8[129]: the last for all that is not ASCII · bits uint8[2**15]: trigrams to look at · ends_run uint8[64]: codes that
    no key of base64 holds · heads int16[2**18]: the last anchor with a trigram, -1 for none; following int16[anchors]: the one
    before it · letters uint8[]: codes of all anchors, those of one from firsts int32[anchors + 1] on · marks int32[anchors]: how
    far behind the anchor's begin its trigram ends · limits int64[2]: places in one text and of one anchor · tally int64[anchors
    + SHAPES, 4] · texts, places uint32[n], anchors uint16[n]
    """
    count, shapes = 0, following.size
    state, events = np.zeros(2, np.int64), np.zeros(CHUNK + 1, np.int64)
    for text in range(begins.size):
        begin, end = begins[text], begins[text] + lengths[text]
        if text + _TEXTS_AHEAD < begins.size:
            prefetch(units, begins[text + _TEXTS_AHEAD])
        state[0], state[1] = 0, begin
        for first in range(begin, end, CHUNK):
            for event in range(mark_places(units, first, min(end, first + CHUNK), codes, bits, ends_run, state, events)):
                at = events[event]
                window = code_at(units, at, codes)
                if at > begin + 1:
                    window |= (code_at(units, at - 1, codes) << CODE_BITS) | (code_at(units, at - 2, codes) << 2 * CODE_BITS)
                    anchor = np.int64(heads[window])
                    while anchor >= 0:
                        place = at - marks[anchor]
                        if place >= begin and is_anchor(units, place, end, codes, letters, firsts[anchor], firsts[anchor + 1]):
                            count = note(text, place - begin, anchor, limits, tally, texts, places, anchors, count)
                        anchor = np.int64(following[anchor])
                shape = shape_at(units, at, begin, end, codes)
                if shape >= 0:
                    count = note(text, at - begin, shapes + shape, limits, tally, texts, places, anchors, count)
                if ends_run[window & _CODE] and is_key(units, at, begin, codes, ends_run):
                    count = note(text, at - _KEY_LENGTH - begin, shapes + KEY_40, limits, tally, texts, places, anchors, count)
        if end - state[1] == _KEY_LENGTH:
            count = note(text, state[1] - begin, shapes + KEY_40, limits, tally, texts, places, anchors, count)
    return count


@kernel
def is_key(units, at, begin, codes, ends_run):
    """Whether exactly 40 characters of base64 stand before ``at``."""
    first = at - _KEY_LENGTH
    if first < begin or (first > begin and not ends_run[code_at(units, first - 1, codes)]):
        return False
    whole = True
    for place in range(first, at):
        whole &= ends_run[code_at(units, place, codes)] == 0
    return whole
