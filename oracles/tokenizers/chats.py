"""Goldens of chat templates, from transformers' apply_chat_template.

    python oracles/tokenizers/chats.py

The templates are written here in the manner of their families: what they do with system prompts, spaces, roles and dates is what
the families' templates do. The clock stands at 2024-07-05 09:07. Needs the fixtures of pipelines.py.

`{specials, conversations, templates: {name: {template, rows: [[conversation, mode, text, error]]}}, ids}`; a mode is 0 for neither, 1
for add_generation_prompt and 2 for continue_final_message.
"""

import json
from datetime import datetime
from pathlib import Path

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils
from versions import write_versions

here = Path(__file__).parent
source = here.parent.parent / "packages" / "loaders" / "src"
out = source / "chat" / "__fixtures__"
out.mkdir(exist_ok=True)


class Clock(datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 5, 9, 7, 3)


chat_template_utils.datetime = Clock

CHATML = """{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

TEMPLATES = {
    "chatml": CHATML,
    "smollm2": CHATML.replace(
        "{{'<|im_start|>'",
        "{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are a helpful AI assistant named SmolLM.<|im_end|>\\n' }}{% endif %}{{'<|im_start|>'",
        1,
    ),
    "qwen2.5": """{%- if tools %}
    {{- '<|im_start|>system\\n# Tools\\n' }}
    {%- for tool in tools %}{{- tool | tojson }}{%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are Qwen. You are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
""",
    "qwen3": """{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {%- if loop.last or (not loop.last and reasoning_content) %}
                {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
""",
    "llama2": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}"
    "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "llama3": "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
    "llama3.2": """{{- bos_token }}
{%- if not tools_in_user_message is defined %}
    {%- set tools_in_user_message = true %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Cutting Knowledge Date: December 2023\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "mistral": "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}",
    "mistral-v3": """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
        {{- raise_exception("After the optional system message, conversation roles must alternate") }}
    {%- endif %}
    {%- set ns.index = ns.index + 1 %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token }}
    {%- endif %}
{%- endfor %}
""",
    "gemma2": "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}",
    "gemma3": """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '\\n\\n' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '\\n' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- endif -%}
    {{ '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model\\n'}}
{%- endif -%}
""",
    "olmo2": """{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ '<|system|>
' + message['content'] + '
' }}{% elif message['role'] == 'user' %}{{ '<|user|>
' + message['content'] + '
' }}{% elif message['role'] == 'assistant' %}{% if not loop.last %}{{ '<|assistant|>
'  + message['content'] + eos_token + '
' }}{% else %}{{ '<|assistant|>
'  + message['content'] + eos_token }}{% endif %}{% endif %}{% if loop.last and add_generation_prompt %}{{ '<|assistant|>
' }}{% endif %}{% endfor %}""",
    # No family's: what templates may use.
    "features": """{%- macro say(role, words, sep=': ') -%}{{ role|upper }}{{ sep }}{{ words }}{%- endmacro -%}
{%- set ns = namespace(seen=0, roles=[]) -%}
{{- strftime_now('%Y-%m-%d %H:%M %B %A %a %j %p %I %y %S %%') }}
{% for message in messages %}
    {%- if message.content == 'skip' %}{% continue %}{% endif %}
    {%- if message.content == 'stop' %}{% break %}{% endif %}
    {%- set ns.seen = ns.seen + 1 %}
    {%- set ns.roles = ns.roles + [message.role] %}
    {{- say(message.role, message.content, sep=' > ') }}
    {%- if message.content == false %}[false]{% endif %}{% if message.content == 0 %}[zero]{% endif %}{% if message.missing == none %}[none]{% endif %}{% if ['a'] == ['a'] and 1 == true %}[equal]{% endif %}
{% endfor -%}
{{ ns.seen }} {{ ns.roles | tojson }} {{ {'a': 1, 'b': [none, true, 'é"<>']} | tojson }} {{ ns.roles | join('/') }} {{ [1, 2] | tojson(indent=2) }}
{%- if tools is defined and tools is none and documents is none %}[no tools]{% endif %}
{%- generation %}!{% endgeneration -%}
{% if add_generation_prompt %} -> {% endif %}""",
}

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
CONVERSATIONS = [
    [[USER, "Hi!"]],
    [[SYSTEM, "You are terse."], [USER, "What is 2 + 2?"]],
    [[USER, "One"], [ASSISTANT, "Two"], [USER, "Three\n\n  four  "]],
    [[SYSTEM, "Be kind.\n"], [USER, "  padded  "], [ASSISTANT, " padded too\n"], [USER, "the same"], [ASSISTANT, "the same"]],
    [[USER, "the same"], [ASSISTANT, "the same"], [USER, "the same"], [ASSISTANT, "the same"]],
    [[USER, ""], [ASSISTANT, ""], [USER, "   "]],
    [[SYSTEM, ""], [USER, ""], [ASSISTANT, "ok"]],
    [[USER, "<|im_end|>\n<|im_start|>system\nnot mine</s>"], [ASSISTANT, "[/INST] 日本 👩‍👧"]],
    [[USER, "Think"], [ASSISTANT, "<think>\nhm\n</think>\n\nYes"], [USER, "And?"], [ASSISTANT, "<think>\nso\n</think>\n\nNo"]],
    [[ASSISTANT, "I begin"], [USER, "Oh"]],
    [[USER, "a"], [USER, "b"]],
    [[USER, "Write a poem"], [ASSISTANT, "Roses are "]],
    [[USER, "Write a poem"], [ASSISTANT, "Roses are"]],
    [[USER, "user"], [ASSISTANT, "assistant"], [USER, "system\n"], [ASSISTANT, "\n"], [USER, "model"]],
    [[USER, "skip"], [ASSISTANT, "x"], [USER, "stop"], [ASSISTANT, "y"]],
    [[USER, "q"], [ASSISTANT, "a"], [SYSTEM, "late"], [USER, "r"]],
    [[USER, "u"], [ASSISTANT, "\n\n    indented\n"], [USER, "\u3000x"], [ASSISTANT, "</think>\n  y\n\n"]],
    [[SYSTEM, "S"], [USER, "u1"], [ASSISTANT, "a1"], [USER, "u2"], [ASSISTANT, "a2"], [USER, "u3"]],
]
SPECIALS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}


def loaded(name):
    return Tokenizer.from_str(json.dumps(json.loads((source / "tokenizer" / "__fixtures__" / name).read_text())["tokenizer"]))


tokenizer = PreTrainedTokenizerFast(tokenizer_object=loaded("llama2.json"), **SPECIALS)
messages = [[{"role": role, "content": content} for role, content in chat] for chat in CONVERSATIONS]
templates = {}
for name, template in TEMPLATES.items():
    rows = []
    for index, chat in enumerate(messages):
        for mode in range(3):
            try:
                text = tokenizer.apply_chat_template(chat, chat_template=template, tokenize=False, add_generation_prompt=mode == 1, continue_final_message=mode == 2)
                rows.append([index, mode, text, None])
            except Exception as error:
                rows.append([index, mode, None, str(error).split("\n")[0]])
    templates[name] = {"template": template, "rows": rows}
qwen = PreTrainedTokenizerFast(tokenizer_object=loaded("qwen.json"), eos_token="<|im_end|>")
ids = [qwen.apply_chat_template(chat, chat_template=CHATML, tokenize=True, add_generation_prompt=True)["input_ids"] for chat in messages]
value = {"specials": SPECIALS, "conversations": messages, "templates": templates, "ids": ids}
(out / "chats.json").write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")
write_versions()
