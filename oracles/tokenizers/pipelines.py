"""Goldens of the tokenizer pipelines that model families use, and of single steps, from Hugging Face tokenizers.

    python oracles/tokenizers/pipelines.py

Published tokenizers are not needed: each pipeline is put together as its family's tokenizer.json has it, with a small vocabulary
that is learned here from the awkward texts. Nothing is random. One file for each pipeline, beside the tests of the tokenizer:
`{tokenizer, cases: [[ids, starts, ends, special, decoded, skipping]]}`, a case for each text of `texts.json`. `special` are the ids
with special tokens, null where they are the same; `decoded` and `skipping` (special tokens skipped) are null where they are the
text. Offsets are in UTF-16 units.
"""

import base64
import io
import json
import re
import tempfile
from collections import Counter
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from texts import TEXTS
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from versions import write_versions

here = Path(__file__).parent
out = here.parent.parent / "packages" / "loaders" / "src" / "tokenizer" / "__fixtures__"
out.mkdir(exist_ok=True)

MORE = [
    "<s>begin</s> and <unk> <pad>",
    "a<s> b</s>c <bos><eos>\n\n<table> <mask> x<mask>",
    "  <mask>  y",
    "<extra_id_0> fills <extra_id_1>",
    "\u2581already\u2581marked \u2581",
    "<0x0A> <0xFF> are written out",
    "it'\u017f I'\u017fx",
    "it\u017f IT\u017f 'S 'Re K\u212a \u0130i ıI",
    "ẞ ß ŉ ǰ Ω Å ﬃ ﬆ \u1e9b\u0323 \u0344 \u2126",
    "o\u0308\u0323o\u0323\u0308 \u1100\u1161 \uac00\u11a8 \u0958 \u0915\u093c",
    "\u1d15e \U0001d15e \u2f800 \U0002f800 \ufb1d",
    "１２３ ＡＢｃ ｶﾞ ㌔ ㈱ ㎡ ¼ x⁵ ™ …",
    "a\u200db\u200cc\u00adsoft\u2060wj\u200e\u200f",
    "\t\u000b\u000c\u001c\u001f\u0085\u2028\u2029x",
    "aaa   \n   bbb\n\n\n   ccc\r\n\r\nddd   ",
    "don't DON'T l'été I'll've y'all'd've",
    "a_b __init__ $x €5 £6 ¥7 ©®",
    "1234567 12345 1,234.5 ٣٤٥ १२३४",
    "CamelCaseHTTPServer iPhone éCOLE ÉCOLE ǅabc",
    "\U0001f9d1\U0001f3fd\u200d\U0001f4bb \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f\u200d\U0001f525 \U0001f1eb\U0001f1f7\U0001f1e9",
    "مَرْحَبًا 123 שלום abc \u202bRTL\u202c",
    "\u0e01\u0e33 \u0ba8\u0bbf \u17a0\u17d2 \U00011013 \U0001e900 \U000e0001 \U00020000",
]
ALL = TEXTS + MORE
CORPUS = ALL * 2 + ["the cat sat on the mat", "hello world", "In 1999 the other cat sat there too."] * 20

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
CL100K = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BYTES = pre_tokenizers.ByteLevel.alphabet()
BYTE_TOKENS = [f"<0x{byte:02X}>" for byte in range(256)]


def special(*contents, **options):
    return [AddedToken(content, special=True, normalized=False, **options) for content in contents]


def byte_level(size, *tokens, model=None):
    """A byte-level BPE without pre-tokenizer; the caller sets that first."""
    tokenizer = Tokenizer(model or models.BPE())
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, trainers.BpeTrainer(vocab_size=size, initial_alphabet=BYTES, special_tokens=list(tokens), show_progress=False)


def learned(tokenizer, trainer, corpus=CORPUS):
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def split_then_bytes(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def template(tokenizer, single, *tokens):
    return processors.TemplateProcessing(single=single, special_tokens=[(token, tokenizer.token_to_id(token)) for token in tokens])


def gpt2():
    tokenizer, trainer = byte_level(450, "<|endoftext|>")
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return learned(tokenizer, trainer)


def neox():
    tokenizer, trainer = byte_level(450, "<|endoftext|>", "<|padding|>")
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    learned(tokenizer, trainer)
    tokenizer.add_tokens([AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)])
    return tokenizer


def roberta():
    tokenizer, trainer = byte_level(420, "<s>", "<pad>", "</s>", "<unk>")
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=True)
    learned(tokenizer, trainer)
    tokenizer.add_special_tokens(special("<mask>", lstrip=True))
    return tokenizer


def byte_fallback_model(pre_tokenizer, normalizer, tokens, size=500, corpus=CORPUS):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    plain = [text for text in corpus if text.isascii()]
    learned(tokenizer, trainers.BpeTrainer(vocab_size=size, special_tokens=tokens + BYTE_TOKENS, show_progress=False), plain)
    # The trainer makes all of them special added tokens; in the families' files bytes are tokens of the model alone.
    definition = json.loads(tokenizer.to_str())
    definition["added_tokens"] = [token for token in definition["added_tokens"] if not token["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(definition))


def llama2():
    """The conversion of Llama 2 and Mistral 0.1: spaces are marked by normalisation."""
    normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer = byte_fallback_model(None, normalizer, ["<unk>", "<s>", "</s>"])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = template(tokenizer, "<s> $A", "<s>")
    return tokenizer


def mistral():
    """The conversion of today, Mistral 0.3's too: Metaspace only at the start, no cuts."""
    tokenizer = byte_fallback_model(pre_tokenizers.Metaspace(prepend_scheme="first", split=False), None, ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = template(tokenizer, "<s> $A", "<s>")
    return tokenizer


def gemma():
    tokenizer = byte_fallback_model(pre_tokenizers.Split(" ", "merged_with_previous"), normalizers.Replace(" ", "\u2581"), ["<pad>", "<eos>", "<bos>", "<unk>"])
    tokenizer.add_special_tokens(special("<start_of_turn>", "<end_of_turn>"))
    tokenizer.add_tokens([AddedToken(content, normalized=False) for content in ["<table>", "\n\n", "\n\n\n", "\u2581\u2581", "\u2581\u2581\u2581\u2581", "\t"]])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.post_processor = template(tokenizer, "<bos> $A", "<bos>")
    return tokenizer


def llama3():
    tokenizer, trainer = byte_level(450, "<|begin_of_text|>", "<|endoftext|>", "<|eot_id|>", model=models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = split_then_bytes(LLAMA3)
    learned(tokenizer, trainer)
    # A word that merges do not make, which ignore_merges finds all the same.
    definition = json.loads(tokenizer.to_str())
    definition["model"]["vocab"]["\u0120antidisestablishmentarianism"] = len(definition["model"]["vocab"])
    tokenizer = Tokenizer.from_str(json.dumps(definition))
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), template(tokenizer, "<|begin_of_text|> $A", "<|begin_of_text|>")])
    return tokenizer


def qwen():
    tokenizer, trainer = byte_level(450, "<|endoftext|>", "<|im_start|>", "<|im_end|>")
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = split_then_bytes(QWEN2)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    return learned(tokenizer, trainer)


def olmo2():
    tokenizer, trainer = byte_level(450, "<|endoftext|>", "<|pad|>")
    tokenizer.pre_tokenizer = split_then_bytes(CL100K)
    return learned(tokenizer, trainer)


def tekken():
    """Mistral's newer tokenizer, with the pattern of o200k."""
    tokenizer, trainer = byte_level(450, "<unk>", "<s>", "</s>", model=models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = split_then_bytes(O200K)
    learned(tokenizer, trainer)
    tokenizer.post_processor = template(tokenizer, "<s> $A", "<s>")
    return tokenizer


RULES = {
    "ﬁ": "fi", "ﬃ": "ffi", "１": "1", "２": "2", "３": "3", "Ａ": "A", "Ｂ": "B", "ｃ": "c", "ｶﾞ": "ガ", "ｶ": "カ", "…": "...", "™": "TM", "㎡": "m2", "①": "1",
    "㌔": "キロ", "\u00a0": " ", "\u3000": " ", "\t": " ", "\n": " ", "\r": " ", "\u2003": " ", "\u0001": "", "\u0007": "", "\u200b": " ", "\ufeff": " ",
    "e\u0301": "é", "o\u0308": "ö", "o\u0308\u0323": "ọ̈", "a\u0308": "ä", "\u212a": "K", "\U0001d4b3": "X", "\U0002f800": "丽", "½": "1/2", "x⁵": "x5",
}


def charsmap(rules):
    """The compiled map of a few rules, and a list of pieces with scores that SentencePiece learns with it."""
    hexes = lambda text: " ".join(f"{ord(character):X}" for character in text)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "rules.tsv"
        table.write_text("".join(f"{hexes(source)}\t{hexes(target)}\n" for source, target in sorted(rules.items())))
        model = io.BytesIO()
        lines = [line for text in CORPUS for line in text.splitlines() if line.strip() and "\0" not in line]
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=model, vocab_size=450, model_type="unigram", normalization_rule_tsv=str(table),
            character_coverage=0.98, num_threads=1, hard_vocab_limit=False, minloglevel=2,
        )
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    return proto.normalizer_spec.precompiled_charsmap, [(piece.piece, piece.score) for piece in proto.pieces if piece.type == 1]


CHARSMAP, PIECES = charsmap(RULES)


def unigram(head, tail=(), **options):
    vocab = [(token, 0.0) for token in head] + PIECES + [(token, 0.0) for token in tail]
    return Tokenizer(models.Unigram(vocab, unk_id=head.index("<unk>"), **options))


def t5():
    tail = ["<extra_id_1>", "<extra_id_0>"]
    tokenizer = unigram(["<pad>", "</s>", "<unk>"], tail)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Precompiled(CHARSMAP), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens(special("<pad>", "</s>", "<unk>", *tail))
    tokenizer.post_processor = template(tokenizer, "$A </s>", "</s>")
    return tokenizer


def xlm_roberta():
    tokenizer = unigram(["<s>", "<pad>", "</s>", "<unk>"], ["<mask>"])
    tokenizer.normalizer = normalizers.Precompiled(CHARSMAP)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")])
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens(special("<s>", "<pad>", "</s>", "<unk>"))
    tokenizer.add_special_tokens(special("<mask>", lstrip=True))
    tokenizer.post_processor = template(tokenizer, "<s> $A </s>", "<s>", "</s>")
    return tokenizer


def unigram_bytes():
    tokenizer = unigram(["<unk>", "<s>", "</s>"], BYTE_TOKENS, byte_fallback=True)
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip(), normalizers.Replace(Regex(r"\s{2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first")])
    tokenizer.add_special_tokens(special("<s>", "</s>"))
    return tokenizer


def bert():
    # The trainer of word pieces breaks ties in another way each time: the most frequent beginnings and ends of words stand in.
    normalizer, cutter = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    words = Counter(word for text in CORPUS for word, _ in cutter.pre_tokenize_str(normalizer.normalize_str(text)))
    pieces = Counter()
    for word, count in words.items():
        for at in range(len(word)):
            for end in range(at + 1, min(len(word), at + 6) + 1):
                pieces[("##" if at > 0 else "") + word[at:end]] += count
    best = sorted(pieces, key=lambda piece: (-pieces[piece], piece))[:480]
    vocab = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + best)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=40))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = cutter
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(special("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))
    tokenizer.post_processor = template(tokenizer, "[CLS] $A [SEP]", "[CLS]", "[SEP]")
    return tokenizer


def word_level():
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation(), pre_tokenizers.Digits(individual_digits=False)])
    learned(tokenizer, trainers.WordLevelTrainer(vocab_size=200, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return tokenizer


PIPELINES = [gpt2, neox, roberta, llama2, mistral, gemma, llama3, qwen, olmo2, tekken, t5, xlm_roberta, unigram_bytes, bert, word_level]


def sentencepiece_bpe():
    """A BPE of SentencePiece as GGUF files hold it, and its ids; texts with written-out control tokens are cut there first."""
    lines = [line for text in CORPUS for line in text.splitlines() if line.strip() and "\0" not in line]
    golden = {"models": []}
    for prefix in [True, False]:
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=model, vocab_size=560, model_type="bpe", byte_fallback=True, normalization_rule_name="identity",
            remove_extra_whitespaces=False, add_dummy_prefix=prefix, character_coverage=0.98, num_threads=1, minloglevel=2,
        )
        processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        size = processor.vocab_size()
        kind = lambda i: 2 if processor.IsUnknown(i) else 3 if processor.IsControl(i) else 6 if processor.IsByte(i) else 1
        vocabulary = {"tokens": [processor.IdToPiece(i) for i in range(size)], "scores": [processor.GetScore(i) for i in range(size)], "types": [kind(i) for i in range(size)]}
        cuts = re.compile("(<s>|</s>|<unk>)")
        encode = lambda text: [i for part in cuts.split(text) if part for i in ([processor.PieceToId(part)] if cuts.fullmatch(part) else processor.Encode(part))]
        golden["models"].append({"prefix": prefix, **vocabulary, "ids": [encode(text) for text in ALL]})
    return golden


def utf16(text, spans):
    """Offsets count code points in Python and UTF-16 units in JavaScript."""
    at = [0]
    for character in text:
        at.append(at[-1] + (2 if ord(character) > 0xFFFF else 1))
    return [at[start] for start, _ in spans], [at[end] for _, end in spans]


def case(tokenizer, text):
    encoding = tokenizer.encode(text, add_special_tokens=False)
    starts, ends = utf16(text, encoding.offsets)
    with_special = tokenizer.encode(text, add_special_tokens=True).ids
    decoded, skipping = (tokenizer.decode(encoding.ids, skip_special_tokens=skip) for skip in [False, True])
    unless = lambda value, usual: None if value == usual else value
    return [encoding.ids, starts, ends, unless(with_special, encoding.ids), unless(decoded, text), unless(skipping, text)]


def read(reader, tokens):
    """What a decoder makes of tokens; null where the reference itself panics, as on empty lists."""
    try:
        return reader.decode(tokens)
    except BaseException as error:
        assert type(error).__name__ == "PanicException", error
        return None


def stage(component):
    return json.loads(component.__getstate__().decode())


def steps():
    """Single steps, which no family combines in this way: [component, [result for each text]]."""
    texts = ["", "a", "a b  c", "  two  words ", "x1y22 3.4", "Hey, man! (ok) ...", "été e\u0301 Å \u212b ﬁ ½", "日本 12\n\tz", "👩‍👧 1️⃣", "a-b--c-", "-", "\u2581a b", "İSTANBUL ΣΑΣ ẞ"]
    behaviors = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
    cuts = [pre_tokenizers.Split(pattern, behavior, invert) for pattern in ["-", Regex(r"\s+"), Regex(r"\w+|[^\w\s]+")] for behavior in behaviors for invert in [False, True]]
    cuts += [pre_tokenizers.Punctuation(behavior) for behavior in behaviors]
    cuts += [pre_tokenizers.Digits(individual_digits=each) for each in [False, True]]
    cuts += [pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split) for scheme in ["always", "first", "never"] for split in [False, True]]
    cuts += [pre_tokenizers.Metaspace(replacement="_", prepend_scheme="always")]
    cuts += [pre_tokenizers.Whitespace(), pre_tokenizers.WhitespaceSplit(), pre_tokenizers.BertPreTokenizer(), pre_tokenizers.CharDelimiterSplit("-")]
    cuts += [pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="first")])]
    pieces = []
    for cut in cuts:
        rows = []
        for text in texts:
            found = cut.pre_tokenize_str(text)
            rows.append([[piece for piece, _ in found], *utf16(text, [span for _, span in found])])
        pieces.append([stage(cut), rows])
    rewriters = [normalizers.NFC(), normalizers.NFD(), normalizers.NFKC(), normalizers.NFKD(), normalizers.Lowercase(), normalizers.StripAccents(), normalizers.Nmt()]
    rewriters += [normalizers.Strip(left=left, right=right) for left in [False, True] for right in [False, True]]
    rewriters += [normalizers.Prepend("\u2581"), normalizers.Replace("a", "bb"), normalizers.Replace(Regex(r"\d+"), ""), normalizers.Replace(Regex(r"(?i)A|\s"), "_")]
    rewriters += [normalizers.BertNormalizer(clean_text=a, handle_chinese_chars=b, strip_accents=c, lowercase=d) for a, b, c, d in [(True, True, None, True), (True, False, True, False), (False, True, False, True), (False, False, None, False)]]
    rewriters += [normalizers.Precompiled(CHARSMAP), normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()])]
    normalized = [[stage(rewriter), [rewriter.normalize_str(text) for text in ALL]] for rewriter in rewriters]
    lists = [[], ["a"], ["\u2581a", "\u2581b", "c\u2581"], ["<0xE6>", "<0x97>", "<0xA5>", "x", "<0xFF>", "<0x41>"], ["<0xE6>", "<0x97>"], ["hello", "##wor", "##ld", ".", "do", "not", "n't", "'", "s"], [" a ", "  b  ", ""], ["a</w>", "b</w>", "c"], ["\u0120a", "\u00e9", "\u00c3", "\u00a9", "日"]]
    lists += [["\ufeffa", "<0xEF>", "<0xBB>", "<0xBF>"], ["\u2581", "\u2581\u2581x"]]
    readers = [decoders.ByteLevel(), decoders.Fuse(), decoders.ByteFallback(), decoders.Strip(" ", 1, 0), decoders.Strip(" ", 0, 2), decoders.Strip(" ", 1, 1), decoders.WordPiece(), decoders.WordPiece(prefix="##", cleanup=False), decoders.BPEDecoder()]
    readers += [decoders.Metaspace(prepend_scheme=scheme) for scheme in ["always", "first", "never"]]
    readers += [decoders.Replace("\u2581", " "), decoders.Replace(Regex(r"\s+"), "_")]
    readers += [decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])]
    decoded = [[stage(reader), [read(reader, tokens) for tokens in lists]] for reader in readers]
    return {"texts": texts, "pieces": pieces, "normalized": normalized, "lists": lists, "decoded": decoded}


def write(name, value):
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n"
    (out / name).write_text(text)
    print(name, len(text))


write("texts.json", ALL)
write("steps.json", steps())
write("sentencepiece-bpe.json", sentencepiece_bpe())
for pipeline in PIPELINES:
    tokenizer = pipeline()
    definition = json.loads(tokenizer.to_str())
    write(f"{pipeline.__name__.replace('_', '-')}.json", {"tokenizer": definition, "cases": [case(tokenizer, text) for text in ALL]})
write_versions()
