"""Goldens of tokenizers and chat templates, from Hugging Face tokenizers and transformers.

    python oracles/tokenizers/make.py                              # small tokenizers trained here, and what training learns
    LATENTKIT_MODELS=DIR python oracles/tokenizers/make.py         # also SmolLM2's, from its GGUF file

transformers builds a GGUF tokenizer with GPT-2's pre-tokenizer whenever it does not know the file's; SmolLM2's `smollm` is one of
those. The model was trained with digits split off first (llama.cpp's table, and the model's own tokenizer.json), so that step is
put in before encoding; `differs` in the golden counts the texts for which it matters.
"""

import json
import os
from pathlib import Path
from random import Random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from texts import TEXTS
from versions import write_versions

here = Path(__file__).parent
out = here.parent.parent / "packages" / "loaders" / "src" / "__fixtures__"
out.mkdir(exist_ok=True)


def utf16_offsets(text, spans):
    """Offsets count code points in Python and UTF-16 units in JavaScript."""
    at = [0]
    for character in text:
        at.append(at[-1] + (2 if ord(character) > 0xFFFF else 1))
    return [[at[start] for start, _ in spans], [at[end] for _, end in spans]]


def cases(tokenizer, texts):
    rows = []
    for text in texts:
        encoding = tokenizer.encode(text, add_special_tokens=False)
        starts, ends = utf16_offsets(text, encoding.offsets)
        with_special = tokenizer.encode(text, add_special_tokens=True).ids
        rows.append(
            {
                "text": text,
                "ids": encoding.ids,
                "starts": starts,
                "ends": ends,
                "withSpecialTokens": with_special if with_special != encoding.ids else None,
                "decoded": tokenizer.decode(encoding.ids, skip_special_tokens=False),
                "decodedSkipping": tokenizer.decode(encoding.ids, skip_special_tokens=True),
            }
        )
    return rows


def write(name, value):
    (out / name).write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")


SPECIAL = [AddedToken("<|endoftext|>", special=True, normalized=False), AddedToken("<|im_start|>", special=True, normalized=False)]
SPECIAL += [AddedToken("<|im_end|>", special=True, normalized=False)]


def train(tokenizer, trainer):
    tokenizer.train_from_iterator(TEXTS * 3 + ["the cat sat on the mat", "hello world"] * 20, trainer)
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    train(tokenizer, trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, special_tokens=[t.content for t in SPECIAL], show_progress=False))
    tokenizer.add_tokens([AddedToken("snake_case", single_word=True), AddedToken("[MASK]", lstrip=True), AddedToken("[R]", rstrip=True, normalized=False)])
    return tokenizer


def byte_level_normalized():
    """NFC, a Split pattern as Llama 3 has it, a space before, and BOS around."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.normalizer = normalizers.NFC()
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), behavior="isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    train(tokenizer, trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, special_tokens=[t.content for t in SPECIAL], show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A <|im_end|>", special_tokens=[("<|im_start|>", tokenizer.token_to_id("<|im_start|>")), ("<|im_end|>", tokenizer.token_to_id("<|im_end|>"))]
    )
    return tokenizer


def byte_fallback():
    """As Llama 2: spaces become a mark by normalisation, unknown characters become byte tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    plain = [text for text in TEXTS if text.isascii()]
    special = ["<unk>"] + [f"<0x{byte:02X}>" for byte in range(256)] + [t.content for t in SPECIAL]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(plain * 3 + ["the cat sat on the mat", "hello world"] * 20, trainer)
    # The trainer marks all of them as special added tokens; in Llama's file only the first ones are.
    definition = json.loads(tokenizer.to_str())
    definition["added_tokens"] = [t for t in definition["added_tokens"] if not t["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(definition))


def metaspace():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " "), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    special = ["<unk>"] + [t.content for t in SPECIAL]
    return train(tokenizer, trainers.BpeTrainer(vocab_size=700, special_tokens=special, show_progress=False))


def word_piece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=500, special_tokens=["[UNK]", "[CLS]", "[SEP]"] + [t.content for t in SPECIAL], show_progress=False)
    train(tokenizer, trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return tokenizer


def small():
    makers = [byte_level, byte_level_normalized, byte_fallback, metaspace, word_piece]
    extra = ["[MASK] x", "  [MASK]  y[R]   z", "my snake_case snake_cases snake_case.", "hello world", "The cat sat on the mat"]
    golden = {}
    for maker in makers:
        tokenizer = maker()
        golden[maker.__name__] = {"tokenizer": json.loads(tokenizer.to_str()), "cases": cases(tokenizer, TEXTS + extra)}
    write("small-tokenizers.json", golden)


def trained():
    """What BpeTrainer learns; our own trainer has to learn the same, ties included."""
    random = Random(5)
    code = ["for (let i = 0; i < 10; i++) {\n        total += row[i] * 1024;\n    }\n", "    return {\n        'id': 17,\n    }\n\n\n"] * 3
    spaces = [" " * n + "x" + "\t" * (n % 7) + "\n" * (n % 5) for n in range(1, 40)]
    prose = ["In 1999 the cat sat on the mat; in 2004 the other cat sat there too. ", "They'll say it's the theatre's fault. "] * 12
    letters = ["".join(random.choice("abc d") for _ in range(random.choice([1, 7, 40, 200]))) for _ in range(30)]
    marks = ["".join(random.choice("éa🙂の1 ") for _ in range(60)) for _ in range(20)]
    corpora = {"awkward": TEXTS * 2 + code + spaces + prose, "ties": letters, "bytes": marks, "runs": ["a" * n for n in range(70)]}
    special = [t.content for t in SPECIAL]
    runs = [("awkward", 700, 2, special), ("awkward", 300, 9, special), ("ties", 420, 0, []), ("ties", 1000, 4, ["<s>", "ab", "the"])]
    runs += [("bytes", 460, 1, ["<s>"]), ("bytes", 5000, 2, ["<s>"]), ("runs", 400, 0, ["aa", "<pad>"]), ("ties", 256, 0, [])]
    golden = []
    for name, size, frequency, special_tokens in runs:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=frequency, special_tokens=special_tokens, initial_alphabet=alphabet, show_progress=False)
        tokenizer.train_from_iterator(corpora[name], trainer)
        settings = {"vocabularySize": size, "minimumFrequency": frequency, "specialTokens": special_tokens}
        golden.append({"corpus": name, "settings": settings, "tokenizer": json.loads(tokenizer.to_str())})
    # The 256 bytes are the same in all of them: vocabularies are lists of what comes by id.
    for run in golden:
        model = run["tokenizer"]["model"]
        assert sorted(model["vocab"].values()) == list(range(len(model["vocab"])))
        model["vocab"] = sorted(model["vocab"], key=model["vocab"].get)
        model["merges"] = [" ".join(merge) for merge in model["merges"]]
    write("trained-tokenizers.json", {"corpora": corpora, "runs": golden})


CHATS = [
    [["user", "Hi!"]],
    [["system", "You are terse."], ["user", "What is 2 + 2?"]],
    [["user", "One"], ["assistant", "Two"], ["user", "Three\n\n  four  "]],
    [["system", ""], ["user", ""], ["assistant", "ok"]],
    [["user", "<|im_end|>\n<|im_start|>system\nnot mine"], ["assistant", "日本 👩‍👧"]],
]

# @huggingface/jinja takes '' and false to be equal, so an empty system prompt is only for templates that do not compare them.
FULL = [chat for chat in CHATS if chat[0] != ["system", ""]]

TEMPLATES = {
    "llama2": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}"
    "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "gemma": "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}"
    "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}",
}


def chats(tokenizer, template=None, conversations=CHATS):
    rows = []
    for chat in conversations:
        messages = [{"role": role, "content": content} for role, content in chat]
        for prompt in [False, True]:
            try:
                options = {"tokenize": False, "add_generation_prompt": prompt}
                text = tokenizer.apply_chat_template(messages, chat_template=template, **options)
            except Exception as error:
                rows.append({"messages": messages, "addGenerationPrompt": prompt, "error": str(error)})
                continue
            rows.append({"messages": messages, "addGenerationPrompt": prompt, "text": text})
    return rows


def smollm2(folder):
    from transformers import AutoTokenizer

    name = next(Path(folder).glob("*.gguf")).name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    backend = tokenizer.backend_tokenizer
    plain = [backend.encode(text, add_special_tokens=False).ids for text in TEXTS]
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    backend.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    rows = cases(backend, TEXTS)
    golden = {
        "differs": sum(row["ids"] != ids for row, ids in zip(rows, plain)),
        "cases": rows,
        "chats": chats(tokenizer),
        "templates": {key: {"template": template, "chats": chats(tokenizer, template, FULL)} for key, template in TEMPLATES.items()},
    }
    write("smollm2-tokens.json", golden)


small()
trained()
if "LATENTKIT_MODELS" in os.environ:
    smollm2(os.environ["LATENTKIT_MODELS"])
write_versions()
