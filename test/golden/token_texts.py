"""Texts, conversations and chat templates for make_tokens.py, all written for this project."""

import random

PROSE = [
    "Hello world",
    "Hello, World!",
    " leading space",
    "trailing space ",
    "  two  spaces  between  words  ",
    "The quick brown fox jumps over the lazy dog.",
    "I'm sure you've seen it; they'll say we'd better not, but it's fine. Don't!",
    "I'M SURE YOU'VE SEEN IT; THEY'LL SAY WE'D BETTER NOT. DON'T!",
    "'s 't 're 've 'm 'll 'd 'S 'T 'RE 'Ve 'M 'lL 'D 'x ''s '",
    "rock'n'roll o'clock ’s it’s ‘quoted’ 'ſ 'K",
    "naïve café résumé Ångström cafe\u0301 e\u0301\u0302 Straße ﬁne ŉ",
    "Größe 12 m²; 3½ Äpfel à 0,75 €/kg = 2,63 €…",
    "Well… that's — um – “interesting”.",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "e-mail: someone@example.org, see https://example.org/path?query=1&x=%20#top",
    "A.B.C. e.g. i.e. etc... ?!?! !!! --- === *** ___ ~~~ ^^^ ||| <<< >>>",
    "$100 + $200 = $300; 5 > 3 < 7; a^b; `code`; x|y; ~z",
    "",
    " ",
    "a",
    "\n",
]

CODE = [
    "def f(x):\n    return x ** 2  # square\n\n\nprint(f(3))\n",
    "for (let i = 0; i < 10; i++) {\n\tconsole.log(`${i}: ${a[i]}`);\n}\r\n",
    "#include <stdio.h>\nint main(void) { printf(\"%d\\n\", 0x1F); return 0; }",
    "SELECT name, count(*) FROM t WHERE id >= 1000 GROUP BY 1;",
    '{"key": [1, 2.5, -3e10, true, null], "nested": {"a": "b\\u00e9"}}',
    "if __name__ == '__main__':\n        sys.exit(main(sys.argv[1:]))",
    "<div class=\"a b\">&nbsp;</div><!-- x --><br/>",
    "x = [i for i in range(100) if i % 3 == 0]\n\n\n\n\ny = {**x}",
    "git commit -m 'fix #123' && rm -rf ./build/* || echo $?",
    "\\begin{equation} \\frac{1}{2} \\sum_{i=1}^{n} x_i^2 \\end{equation}",
    "0xDEADBEEF 0b1010 1_000_000 1e-9 .5 5. v1.2.3-rc4",
    "                                        deep\n                                        indent",
    "\t\t\ttabs\n\t\tand\n\tmore\n",
    "camelCaseName snake_case_name SCREAMING_CASE kebab-case-name",
]

NUMBERS = [
    "0 1 12 123 1234 12345 123456 1234567 12345678901234567890",
    "3.14159 2,718 1/2 50% -40°C 12:34:56 2024-01-31",
    "a1b22c333d4444 1a 12b 123c",
    "10 ² ½ ① ٣ ৪ Ⅷ 三 ⅓ ₂ ⁹",
    " ½ ² ① ٣ ৪\n\n  0\n 1\n\n\n   22",
    "x² y³ H₂O 10⁻⁹ ①②③ ⑩ ⒈ ❶ ㊀ ㉈ 🄀 𝟘𝟙𝟚 𝟿",
    "٠١٢٣٤٥٦٧٨٩ ۰۱۲۳ ०१२३ ০১২৩ ௦௧௨ ๐๑๒ ໐໑ 〇一二 ０１２３",
    "Ⅰ Ⅱ Ⅲ ⅷ ↀ 𐄇 𒐀 𐹠 Ⅻth ½x x½ 1½2",
    "1½ 2¾ ²³¹ 10²³ ٣٤٥x ৪৫",
    "phone +1 (555) 010-9999 ext. 42",
]

SCRIPTS = [
    "你好，世界！今天天气很好。",
    "日本語のテキスト、ひらがなとカタカナ。",
    "안녕하세요 세계! 한국어 텍스트입니다.",
    "Привет, мир! Как дела?",
    "Γειά σου Κόσμε! Ελληνικά.",
    "مرحبا بالعالم، كيف الحال؟ ١٢٣",
    "שלום עולם! מה נשמע?",
    "नमस्ते दुनिया! यह हिन्दी है।",
    "สวัสดีชาวโลก ภาษาไทย",
    "Xin chào thế giới! Tiếng Việt",
    "ᏣᎳᎩ ⠓⠑⠇⠇⠕ 𐌰𐌱𐌲 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝒻𝒶𝓃𝒸𝓎",
    "中文English混合текст123テスト",
    "ẞß ŁłØø ĲĳŒœ ƏəƷʒ ǅǆ ʰʷ ªº",
    "한글 자모 ㄱㄴㄷ 각 각",
]

EMOJI = [
    "😀 😃😄 👍🏽 👩‍💻 👨‍👩‍👧‍👦 🏳️‍🌈 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🇩🇪🇫🇷 1️⃣ #️⃣ ❤️‍🔥",
    "I ❤️ you 💯% 🚀🚀🚀!!!",
    "👩🏿‍❤️‍💋‍👩🏻 family: 👨‍👨‍👦‍👦.",
    "☺︎ ☺️ ™ © ® ✓ ✔️ → ⇒ ∑ ∞ ≠ ± ÷ × √ € £ ¥ ₿",
]

SPACES = [
    "a b  c   d    e",
    "a\nb\n\nc\n\n\nd",
    "a \n b\n \n c \n\n  d",
    "a\r\nb\r\n\r\nc\rd\r\re",
    "a\tb\t\tc \t d",
    "\n\n\n",
    "   \n   \n",
    " \t\n\r\x0b\x0c ",
    "a\u00a0b\u00a0\u00a0c \u00a0 d",
    "a\u0085b\u0085\u0085c \u0085 d\u0085",
    "a\u2028b\u2029c\u2003d\u2009e\u3000f\u3000\u3000g",
    "\ufeffbom a\ufeffb \ufeff c\ufeff",
    "zero\u200bwidth\u200c\u200djoin \u200b \u2060x",
    "\x1ca\x1d b\x1e\x1f c",
    "end \n",
    "end\n ",
    "  3", "   3", "\n3", "\n\n 3 4", "x  3", " 3", "3 ", "3  x",
]

ODD = [
    "\x00 null \x01\x02\x03\x04\x05\x06\x07\x08",
    "\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x7f\x80\x9f",
    "\ue000\uf8ff private \U000f0000 \U0010ffff",
    "\ufdd0\ufdef\ufffe\uffff noncharacters \U0001fffe",
    "\ufffd replacement \ufffd\ufffd",
    "\U000e0041\U000e007f tags \u202e rtl \u2066 iso",
    "T\u0301\u0300\u0323e\u0308\u0331\u0336x\u034f\u0489t\u0361\u035c! o\u0338v\u20dde\u0f39r",
    "\u0301start mark \u0301 alone",
    "unassigned \u0378\u0378 \u05ff \U0003fffd \U000dfffd",
    "<|endoftext|> <|im_start|>user\n<|im_end|> <|im_end <|im_end|",
    "<tool> </tool> [PAD] <unk> <s></s> <repo_name><reponame>",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "================================================================================",
    "................................................................",
    "abababababababababababababababababababababababababababababab",
    "000000000000000000000000000000000000000000000000000000000000",
    "ﾊﾟﾊﾟ ｆｕｌｌｗｉｄｔｈ ㎏ ㍿ ﷽",
]

FIXED = PROSE + CODE + NUMBERS + SCRIPTS + EMOJI + SPACES + ODD
LETTERS = "etaoinshrdlucmfwypvbgkqjxzETAOINäéßñσжя你のع"
MARKS = ".,;:!?-_()[]{}<>/\\|@#$%^&*+=~`\"'"
WHITE = [" ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\u00a0", "\u0085", "\u3000", "\ufeff"]
DIGITS = "0123456789" * 3 + "²½①٣৪Ⅷ𝟘０"


def random_text(rng: random.Random) -> str:
    """A few runs of letters, digits, marks, white space, or bits of the fixed texts."""
    parts = []
    for _ in range(rng.randint(2, 9)):
        kind = rng.randrange(6)
        if kind == 0:
            parts.append("".join(rng.choices(LETTERS, k=rng.randint(1, 7))))
        elif kind == 1:
            parts.append("".join(rng.choices(DIGITS, k=rng.randint(1, 5))))
        elif kind == 2:
            parts.append("".join(rng.choices(MARKS, k=rng.randint(1, 3))))
        elif kind == 3:
            parts.append("".join(rng.choices(WHITE, k=rng.randint(1, 3))))
        elif kind == 4:
            parts.append(rng.choice(["'s", "'S", "'re", "'LL", "'d", "n't", "'", "’s"]))
        else:
            source = rng.choice(FIXED) or " "
            start = rng.randrange(len(source))
            parts.append(source[start : start + rng.randint(1, 8)])
    return "".join(parts)


def random_points(rng: random.Random) -> str:
    """Code points from anywhere in Unicode but the surrogates."""
    points = []
    for _ in range(rng.randint(1, 8)):
        top = rng.choice([0x80, 0x250, 0x800, 0x3000, 0xA000, 0xD800, 0x11000, 0x20000, 0x110000])
        point = rng.randrange(top)
        points.append(chr(point) if not 0xD800 <= point < 0xE000 else " ")
        if rng.random() < 0.3:
            points.append(rng.choice(WHITE))
    return "".join(points)


def make_texts(rng: random.Random) -> list[str]:
    texts = list(FIXED)
    texts += ["long " * 200, "a" * 1500, " " * 300, "\n" * 200, "7" * 300, "é" * 300, "👍" * 100]
    texts += [random_text(rng) for _ in range(360)]
    texts += [random_points(rng) for _ in range(120)]
    return list(dict.fromkeys(texts))


# Texts in which control tokens are to be found.
SPELLED = [
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    "<|endoftext|>",
    "<|im_end|><|im_end|> <|im_end|>x<|im_end|>",
    "<<|im_end|>> <|im_end|im_end|> <|im_<|im_end|>end|>",
    "<repo_name>a/b<file_sep>c.py\nimport x<file_sep>",
    "<reponame><repo_name><gh_stars>100<filename>x<issue_start>",
    "no token <|nothing|> at all",
    "",
]


def turns(*contents: str, system: str | None = None) -> list[dict]:
    roles = ("user", "assistant")
    messages = [] if system is None else [{"role": "system", "content": system}]
    return messages + [{"role": roles[i % 2], "content": c} for i, c in enumerate(contents)]


CONVERSATIONS = [
    turns("What is the capital of France?"),
    turns("Hi", system="You answer in one word."),
    turns("Hi there!  ", "Hello!\n\n", "  What's 12 + 30?\n", "42", "Thanks 👍"),
    turns("  spaced\tout \n\n", "yes", "a < b && c > d | e", system="  Be brief.  "),
    turns(""),
    turns("日本語で答えて。", "はい。", "½ + ¼ = ?", system=""),
    turns("def f(x):\n    return x\n", "```python\nprint(1)\n```", "{{ messages }} {% raw %}"),
]

# Templates with the features that templates of other models use; transformers renders them with Jinja2.
TEMPLATES = [
    "{{ bos_token }}{% for m in messages %}[{{ m.role | upper }}]{{ m['content'] | trim }}{{ eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}[ASSISTANT]{% endif %}",
    "{%- set ns = namespace(n=0, first=true) -%}\n{%- for m in messages -%}\n{%- set ns.n = ns.n + 1 -%}\n"
    "    {{- '<|' ~ m.role ~ '|>' ~ ns.n ~ '\\n' -}}\n    {{- m.content.strip(' \\n').rstrip('!') + '\\n' -}}\n"
    "{%- endfor -%}\n{{ ns.n }}",
    "{% for m in messages %}{% if loop.first and m.role == 'system' %}S:{{ m.content }}\n{% continue %}"
    "{% endif %}{{ loop.index0 }}/{{ loop.length }}{% if not loop.last %},{% endif %}{% endfor %}",
    "{% macro turn(m, sep='\\n') %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{{ sep }}{% endmacro %}"
    "{% for m in messages if m.role != 'system' %}{{ turn(m) }}{% else %}none{% endfor %}",
    "{% for m in messages[::-1] %}{{ m.content.split('\\n')[-1] }}|{{ m.content.split() | length }}|"
    "{{ m.content.replace('a', '<|a|>') }}|{{ m.content.lstrip() }};{% endfor %}",
    "{{ messages | length }} {{ messages[0] | tojson }} {{ messages | map(attribute='role') | join(', ') }} "
    "{{ (messages | selectattr('role', 'equalto', 'user') | list)[-1].content }}",
    "{% for m in messages %}{% if '|' in m.content or m.content.startswith('  ') %}A{% elif "
    "m.content is string and m.content %}B{% else %}C{% endif %}{{ range(2, 10, 3) | list | string }}"
    "{% endfor %}{% generation %}x{% endgeneration %}{% if missing is defined or none is not none %}y{% endif %}",
    "{% set tags = ['<|im_end|>', '|'] %}{% for m in messages %}"
    "{% if m.content.strip() in tags or m.role in ('user', '|') %}+{% endif %}"
    "{{ '<|im_end|>' if '<|im_end|>' == '<|im_' ~ 'end|>' }}{{ ('a' ~ '|b').split('|') | join('+') }}"
    "{{ '<|x|>'.strip('<|>') }}{{ '<|x'.startswith(('<|', 'y')) and 'yes' }}{% endfor %}",
    "{%- for m in messages %}\n    {%- if m.role == 'user' %}\n{{ '<|im_start|>' + m.role + '\\n' }}\n"
    "    {%- filter upper %}{{ m.content }}{% endfilter %}\n    {%- endif %}\n{%- endfor %}\n\n",
]
