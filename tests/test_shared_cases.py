"""Inputs that once went wrong, kept outside of this repository: which test holds each, and the inputs themselves.

`TESTS` names the tests of each case. They use inputs of their own, so that they run anywhere. The tests below run the
kept inputs through the functions that judge them. The folder is `LONGSTRAP_SHARED`, `../shared` beside the checkout
if that is not set; where it is missing, these tests are skipped.
"""

import ast
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from app.agent.asking import strip_thoughts
from app.agent.parsing import (
    MalformedReplyError,
    parse_answer,
    parse_instruction,
    parse_selection,
    parse_summary,
)
from app.config import (
    CorpusConfig,
    DecontaminationConfig,
    DedupConfig,
    FilterConfig,
    SourceConfig,
    StageConfig,
)
from app.corpus.changes import describe_changes, record_inputs
from app.corpus.decontamination import Contaminants, list_evaluation_files, read_contaminants
from app.corpus.dedup import shingles_of
from app.corpus.malformed import check_malformed
from app.corpus.reader import read_file
from app.corpus.repeats import find_edges, plan_edge_tasks, read_repeats, resolve_repeats
from app.corpus.shards import CorpusLayout
from app.corpus.sources import list_files
from app.corpus.steps import find_fault, scan_unit
from app.corpus.units import plan_units
from app.dataset.filters import check_draft
from app.faults import UserError
from app.recipe import load_config
from app.schema import ContextDocument, Document, Draft, Passage, Seed
from app.storage import Folder

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("LONGSTRAP_SHARED") or ROOT.parent / "shared").resolve()
CASES = SHARED / "cases"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the kept cases are not here (LONGSTRAP_SHARED)")

TESTS: dict[str, dict[str, list[str]]] = {
    "input": {
        "broken_tail_takes_the_good_rows": [
            "corpus/test_reader.py::test_all_whole_rows_before_the_break_of_a_small_archive_are_read",
            "corpus/test_reader.py::test_compressed_files_and_what_is_left_of_truncated_ones",
        ],
        "cache_variable_is_empty": ["test_config.py::test_an_empty_cache_variable_is_none"],
        "corpus_changed_after_index": [
            "corpus/test_changes.py::test_what_was_appended_is_noticed",
            "corpus/test_changes.py::test_another_content_of_one_size_is_noticed_by_its_date",
        ],
        "decontamination_line_separator": [
            "corpus/test_decontamination.py::test_separators_that_json_allows_in_a_string_end_no_line"
        ],
        "decontamination_reads_no_parquet": [
            "corpus/test_decontamination.py::test_what_the_corpus_reads_is_read_here_too",
            "corpus/test_decontamination.py::test_a_comparison_with_nothing_is_refused",
        ],
        "dedup_follows_chains": [
            "corpus/test_dedup.py::test_a_chain_of_likes_is_no_group",
            "corpus/test_dedup.py::test_what_goes_is_like_what_stays",
        ],
        "disk_is_full": [
            "test_storage.py::test_a_disk_that_is_full_is_told_with_the_file",
            "test_cli.py::test_output_that_cannot_be_written_is_one_line",
        ],
        "endpoint_credit_ends": [
            "endpoints/test_client.py::test_credit_that_is_used_up_is_not_waited_for",
            "integration/test_endpoint_faults.py::test_credit_that_ends_loses_nothing",
        ],
        "endpoint_fenced_json": ["agent/test_parsing.py::test_fence_around_json_is_taken_off"],
        "endpoint_key_with_newline": [
            "endpoints/test_keys.py::test_white_space_around_a_key_is_cut_off",
            "endpoints/test_keys.py::test_what_no_header_can_carry_is_refused_and_not_shown",
            "integration/test_endpoint_faults.py::test_no_file_of_any_process_holds_the_key",
        ],
        "endpoint_one_reply_stops_all": [
            "agent/test_asking.py::test_a_reply_that_no_parser_foresaw_is_asked_again_and_then_named",
            "agent/test_parsing.py::test_malformed_selections_are_told_apart",
            "integration/test_endpoint_faults.py::test_replies_that_nobody_can_read_stop_the_job_and_are_asked_for_again",
        ],
        "endpoint_outage_traceback": [
            "endpoints/test_client.py::test_an_endpoint_that_is_away_stops_the_job",
            "integration/test_endpoint_faults.py::test_credit_that_ends_loses_nothing",
        ],
        "endpoint_rate_limit_pauses": [
            "endpoints/test_client.py::test_a_rate_limit_is_waited_for_as_long_as_the_endpoint_says",
            "endpoints/test_client.py::test_a_pause_is_no_part_of_the_time_limit",
            "endpoints/test_client.py::test_a_limit_that_outlasts_the_retries_stops_the_job",
        ],
        "endpoint_refuses_all_stuck": [
            "endpoints/test_client.py::test_what_every_request_gets_stops_the_job_in_the_endpoints_words",
            "integration/test_endpoint_faults.py::test_what_every_call_gets_is_told_after_a_few_calls_and_can_be_mended",
        ],
        "endpoint_thinks_aloud": [
            "agent/test_parsing.py::test_thoughts_before_an_answer_are_taken_off",
            "agent/test_parsing.py::test_thoughts_without_an_answer_are_malformed",
        ],
        "instructions_in_chinese": [
            "agent/test_parsing.py::test_instruction_in_other_scripts",
            "text/test_sentences.py::test_text_that_was_cut_ends_with_its_last_whole_sentence",
            "integration/test_endpoint_faults.py::test_documents_and_answers_in_chinese_make_their_examples",
        ],
        "passages_longer_than_embedder": [
            "retrieval/test_embedder.py::test_a_text_that_the_model_does_not_read_to_its_end_is_embedded_in_pieces",
            "retrieval/test_embedder.py::test_a_text_without_blanks_is_cut_too",
        ],
        "ray_address_is_dead": [
            "cluster/test_connection.py::test_a_dead_address_is_refused_after_a_bounded_time",
            "cluster/test_waiting.py::test_a_signal_is_heard_where_python_is_not_let",
            "test_submission.py::test_what_is_no_dashboard_is_refused_at_once",
        ],
        "recipe_names_a_section_twice": [
            "test_recipe.py::test_a_section_that_is_there_twice_is_refused_with_both_lines"
        ],
        "run_dir_beyond_ascii": [
            "progress/test_actor.py::test_names_beyond_ascii_are_counted",
            "progress/test_progress.py::test_a_run_may_have_any_name",
        ],
        "submission_of_a_big_folder": [
            "test_submission.py::test_a_folder_that_is_too_large_is_told_with_its_largest_files"
        ],
        "symlinks_to_parent": ["corpus/test_sources.py::test_links_that_lead_back_are_walked_once"],
        "title_with_control_tokens": ["corpus/test_steps.py::test_a_title_passes_the_checks_of_a_text"],
        "unreadable_files_pass": [
            "corpus/test_malformed.py::test_unreadable_files_are_files_and_not_a_row_each",
            "corpus/test_malformed.py::test_one_large_file_counts_by_its_bytes",
        ],
    },
    "training": {
        "missing_weights.py": [
            "training/test_base_weights.py::test_files_of_another_model_are_refused_by_the_tensors_names",
            "training/test_base_weights.py::test_an_output_layer_of_its_own_is_not_lost_in_a_tie",
        ],
        "yarn_then_base.py": [
            "models/test_rope.py::test_a_length_that_yarns_factor_does_not_reach_is_refused_with_the_block_that_does",
            "training/test_preflight.py::test_a_length_that_could_not_be_served_is_refused",
        ],
        "vllm_config.py": [
            "models/test_rope.py::test_what_is_trained_is_what_may_be_served",
            "training/export/test_export.py::test_what_vllm_alone_reads_and_nobody_trained_is_dropped",
        ],
        "composite.py": [
            "training/test_architecture.py::test_a_model_of_several_parts_is_refused_before_anything_is_built",
            "training/test_architecture.py::test_a_wide_model_is_tried_out_with_fewer_heads",
        ],
        "partial_rotary_lost.py": [
            "models/test_rope.py::test_a_block_leaves_what_the_model_has_beside_its_scaling",
            "training/test_preflight.py::test_a_stage_is_tried_out_with_its_own_block",
        ],
        "export_vllm_names.py": [
            "training/export/test_export.py::test_weights_have_the_names_of_published_files"
        ],
        "flip.py": [
            "training/checkpoints/test_checkpoints.py::test_the_newest_that_is_as_it_was_written_is_taken_with_a_line"
        ],
        "families.py": [
            "training/test_families.py::test_a_family_that_the_page_calls_trained_is_accepted",
            "training/test_families.py::test_a_family_that_the_page_calls_refused_is_refused_by_name",
            "training/test_families.py::test_loss_and_gradients_of_packed_documents_are_those_of_each_alone",
        ],
        "families2.py": [
            "training/test_architecture.py::test_what_training_would_compute_wrongly_is_refused_by_name"
        ],
        "ranks_worker.py": [
            "training/parallel/test_parity.py::test_loss_and_gradients_are_those_of_one_process"
        ],
        "short_worker.py": [
            "training/parallel/test_parity.py::test_loss_and_gradients_are_those_of_one_process"
        ],
        "moe_worker.py": [
            "training/test_families.py::test_loss_and_gradients_of_packed_documents_are_those_of_each_alone",
            "training/test_families.py::test_experts_are_counted_once_though_their_layers_are_computed_again",
        ],
        "overfit.py": ["training/parallel/test_parity.py::test_loss_and_gradients_are_those_of_one_process"],
        "window_sinks_prototype.py": [
            "training/parallel/test_sinks.py::test_a_sink_takes_its_share_of_the_softmax_and_learns_from_it"
        ],
    },
    "serving": {
        "bad.py": [
            "integration/test_serving.py::test_500_bad_requests_are_no_fault_of_the_server_s_and_kill_nothing"
        ],
        "client.py": [
            "integration/test_serving.py::test_chat",
            "integration/test_serving.py::test_streams_come_in_pieces_and_with_their_usage",
        ],
        "conc.py": [
            "integration/test_serving.py::test_200_requests_and_a_replica_that_is_killed_between_them",
            "integration/test_serving.py::test_a_full_queue_is_refused_with_its_limit",
        ],
        "crash.py": [
            "serving/test_answering.py::test_who_had_a_request_in_an_engine_that_died_is_not_asked_to_send_it_again",
            "serving/test_answering.py::test_a_token_id_that_the_model_does_not_have_never_reaches_the_engine",
        ],
        "disc.py": ["integration/test_serving.py::test_a_client_that_goes_stops_its_request"],
        "engine_killer_completions.json": [
            "serving/test_answering.py::test_a_token_id_that_the_model_does_not_have_never_reaches_the_engine",
            "integration/test_serving.py::test_bad_requests_are_refused_in_openai_s_shape_and_the_engine_survives_each",
        ],
        "fanout.py": ["serving/test_front.py::test_one_request_of_many_sequences_is_refused"],
        "fanout_starves_completions.json": [
            "serving/test_front.py::test_one_request_of_many_sequences_is_refused",
            "serving/test_front.py::test_sequences_take_places_until_they_are_answered",
        ],
        "grammar_500_chat.json": [
            "serving/test_answering.py::test_a_grammar_that_cannot_be_compiled_is_the_clients_fault"
        ],
        "kill.py": ["serving/test_answering.py::test_an_engine_that_dies_in_a_stream_ends_it_with_an_error"],
        "n_big.py": ["serving/test_front.py::test_one_request_of_many_sequences_is_refused"],
        "slow.py": [
            "serving/test_front.py::test_held_uploads_take_no_more_than_all_bodies_may",
            "serving/test_front.py::test_bodies_have_a_time_limit_of_their_own",
        ],
        "streamkill.py": [
            "serving/test_front.py::test_a_stream_that_breaks_ends_with_the_error",
            "serving/test_front.py::test_a_stream_that_breaks_counts_as_failed",
        ],
        "x_request_id_500.raw": ["serving/test_proxy.py::test_a_header_that_is_no_ascii_is_a_400"],
    },
}
"""Folder of the cases → case → its tests."""
NO_CASES = {"_tools", "README.md", "show.py"}


def test_every_test_of_the_table_is_there():
    for path, _, name in (
        test.partition("::") for cases in TESTS.values() for tests in cases.values() for test in tests
    ):
        assert re.search(
            rf"^(async )?def {name}\(", (ROOT / "tests" / path).read_text("utf-8"), re.MULTILINE
        ), (
            path,
            name,
        )


@needs_cases
@pytest.mark.parametrize("folder", TESTS)
def test_every_case_is_in_the_table(folder):
    assert {path.name for path in (CASES / folder).iterdir()} - NO_CASES == set(TESTS[folder])


def rows_of(case: str, name: str = "corpus.jsonl") -> list[dict[str, Any]]:
    lines = (CASES / "input" / case / name).read_text("utf-8").split("\n")
    return [json.loads(line) for line in lines if line.strip()]


def files_of(path: Path) -> list[Any]:
    return list_files([SourceConfig(path=str(path))])


def contaminants_of(path: Path) -> Contaminants:
    return read_contaminants(
        list_evaluation_files(DecontaminationConfig(paths=[str(path)], ruler=False)).files, 13
    )


@pytest.fixture(scope="module")
def faults() -> dict[str, Any]:
    """The functions of the endpoint of the cases, which answers with one fault."""
    source = (CASES / "input" / "_tools" / "endpoint.py").read_text("utf-8")
    found: dict[str, Any] = {}
    exec(compile(source.rpartition("\nmain()")[0], "endpoint.py", "exec"), found)
    return found


@needs_cases
def test_the_rows_before_a_break_are_read():
    [file] = files_of(CASES / "input" / "broken_tail_takes_the_good_rows" / "docs.jsonl.gz")
    *rows, lost = read_file(file, 10_000_000)
    assert len(rows) == 116
    assert all(isinstance(row, Document) for row in rows)
    assert (lost.reason, lost.row_id.rpartition(":")[2]) == ("unreadable", "117")


@needs_cases
def test_a_corpus_that_grew_is_noticed(tmp_path):
    case = CASES / "input" / "corpus_changed_after_index"
    source = tmp_path / "corpus.jsonl"
    source.write_bytes((case / "corpus.jsonl").read_bytes())
    corpus = Folder(str(tmp_path / "corpus"))
    record_inputs(corpus, files_of(source))
    with source.open("ab") as stream:
        stream.write((case / "more.jsonl").read_bytes())
    assert "1 of another size" in (describe_changes(corpus, files_of(source)) or "")


@needs_cases
def test_a_benchmark_with_separators_in_its_strings_is_read():
    found = contaminants_of(CASES / "input" / "decontamination_line_separator" / "bench.jsonl")
    assert (found.num_files, found.num_strings) == (1, 3)
    assert found.find_contamination("One\u2028two!") == "one two"


@needs_cases
def test_a_benchmark_in_parquet_is_read_and_found():
    found = contaminants_of(CASES / "input" / "decontamination_reads_no_parquet" / "bench")
    assert found.num_files == 3
    assert any(found.find_contamination(row["text"]) for row in rows_of("decontamination_reads_no_parquet"))


@needs_cases
def test_what_is_dropped_as_a_repeat_is_like_what_stays(tmp_path):
    case = CASES / "input" / "dedup_follows_chains"
    settings = CorpusConfig(sources=[SourceConfig(path=str(case / "corpus.jsonl"))], dedup=DedupConfig())
    layout = CorpusLayout(Folder(str(tmp_path)))
    for unit in plan_units(list_files(settings.sources), settings.documents_per_shard):
        scan_unit(unit, layout, settings)
    tasks = plan_edge_tasks(60, settings.dedup)
    for task in tasks:
        find_edges(task, layout, settings.dedup)
    resolve_repeats(tasks, layout, settings.dedup)
    repeats = read_repeats(layout, 0, 60)
    rows = layout.scan.read_table("part-00000-000.parquet", ["document_id", "text"]).to_pylist()
    shingles = {row["document_id"]: set(shingles_of(row["text"], 5).tolist()) for row in rows}
    assert 0 < len(repeats) < 40
    for order, repeat in repeats.items():
        dropped, kept = shingles[rows[order]["document_id"]], shingles[repeat.document_id]
        assert len(dropped & kept) / len(dropped | kept) > 0.7


@needs_cases
def test_a_section_that_is_there_twice_is_refused():
    with pytest.raises(UserError, match=r"corpus.*twice.*2.*8"):
        load_config(str(CASES / "input" / "recipe_names_a_section_twice" / "recipe.yaml"))


@needs_cases
def test_links_to_the_parent_are_walked_once(tmp_path):
    shutil.copytree(CASES / "input" / "symlinks_to_parent" / "docs", tmp_path / "docs")
    (tmp_path / "docs" / "a").chmod(0o755)
    for name in ("one", "two"):
        (tmp_path / "docs" / "a" / name).symlink_to("..")
    assert [Path(file.path).name for file in files_of(tmp_path / "docs")] == ["x.jsonl"]


@needs_cases
def test_titles_that_spell_control_tokens_are_rejected():
    rows = rows_of("title_with_control_tokens")
    nothing = read_contaminants([], 13)
    tokens = ("<|im_start|>", "<|im_end|>")
    documents = [
        Document(str(index), row["text"], row["title"], "s", index) for index, row in enumerate(rows)
    ]
    found = [find_fault(document, None, nothing, tokens) for document in documents]
    spelled = [any(token in document.title for token in tokens) for document in documents]
    assert any(spelled)
    assert [reject is not None and reject.reason == "control token" for reject in found] == spelled


@needs_cases
def test_files_that_cannot_be_read_are_no_rows(tmp_path):
    settings = CorpusConfig(
        sources=[SourceConfig(path=str(CASES / "input" / "unreadable_files_pass" / "docs"))]
    )
    files, layout = list_files(settings.sources), CorpusLayout(Folder(str(tmp_path)))
    records = [scan_unit(unit, layout, settings) for unit in plan_units(files)]
    with pytest.raises(UserError, match=r"^corpus\.max_reject_share: .*40\.1%: unreadable 4") as raised:
        check_malformed(records, files, 0.06, "rejects")
    assert "window" in str(raised.value)


@needs_cases
def test_a_selection_in_a_fence_is_taken_and_a_deep_one_is_malformed(faults):
    assert parse_selection(faults["fault"]("fence", "selection", "", "")[3], [{"d0"}, {"d1"}, {"d2"}]) == [0]
    with pytest.raises(MalformedReplyError, match="not JSON"):
        parse_selection(faults["fault"]("deep_json", "selection", "", "")[3], [{"d0"}, {"d1"}, {"d2"}])


@needs_cases
def test_thoughts_are_no_part_of_a_reply(faults):
    text = "The port of Nantucket silted up."
    assert strip_thoughts(faults["fault"]("think", "answer", text, "")[3]) == text


@needs_cases
def test_chinese_documents_make_drafts_that_pass(faults):
    def reply(kind: str, user: str) -> tuple[str, bool]:
        _, _, _, text, finish_reason, _ = faults["fault"]("chinese", kind, "", user)
        return text, finish_reason == "length"

    for index, row in enumerate(rows_of("instructions_in_chinese")):
        text = row["text"]
        instruction = parse_instruction(
            *reply("opening", f'{text}\nBegin with "Compare how"'), text, "Compare how"
        )
        note = parse_summary(*reply("summary", f"Instruction: {instruction}\n\nExcerpt:\n{text}"))
        assert note is not None
        answer = parse_answer(*reply("answer", f"Instruction: {instruction}\n\nNote 1: {note}"))
        assert answer.endswith("车。")
        passage = Passage(f"d{index}:00000", f"d{index}", 0, len(text), 9, text)
        draft = Draft(
            Seed("s", 1, "long_input", "compare", f"d{index}", text, "", 4000, 1),
            instruction,
            answer,
            [ContextDocument(f"d{index}", "", [passage], 1.0)],
            [passage.passage_id],
        )
        assert check_draft(draft, FilterConfig()) is None


def constants_of(name: str) -> dict[str, Any]:
    """Constants of a training case that are written down; the module itself is of another version of this code."""
    found: dict[str, Any] = {}
    for node in ast.parse((CASES / "training" / name).read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                value = compile(ast.Expression(node.value), name, "eval")
                found[node.targets[0].id] = eval(value, {"__builtins__": {}, "dict": dict}, dict(found))
            except (NameError, AttributeError):
                continue
    return found


@needs_cases
def test_lengths_that_yarn_does_not_reach_are_refused():
    from app.models.rope import check_served_tokens, rope_parameters_of, with_rope
    from app.models.shape import transformers_config

    num_tokens = 1_048_576
    stage = StageConfig(
        name="1m",
        max_seq_tokens=num_tokens,
        mix={"a": 1.0},
        num_steps=1,
        batch_tokens=num_tokens,
        learning_rate=1e-5,
    )
    found = constants_of("yarn_then_base.py")
    for name in ("MINISTRAL", "QWEN"):
        config = transformers_config("train.model", name, found[name])
        trained = with_rope(config, rope_parameters_of(config, [stage], 0), num_tokens)
        with pytest.raises(
            UserError, match=r"^train\.stages\.0\.max_seq_tokens: 1048576 is more than .*factor"
        ):
            check_served_tokens(trained, "train.stages.0", num_tokens)


@needs_cases
@pytest.mark.slow
def test_models_of_several_parts_get_their_verdict_in_little_memory():
    from app.models.shape import transformers_config
    from app.training.architecture import check_architecture

    for name, settings in constants_of("composite.py")["CONFIGS"].items():
        if name.startswith(("llama-3.1", "gemma-3-1b")):
            check_architecture(transformers_config("train.model", name, settings))
            continue
        with pytest.raises(UserError, match=r"^train\.model: ") as raised:
            check_architecture(transformers_config("train.model", name, settings))
        assert "allocate" not in str(raised.value)


@needs_cases
def test_a_request_that_starves_all_others_is_refused():
    from tests.serving.test_front import JSON_TYPE, ask, front

    body = (CASES / "serving" / "fanout_starves_completions.json").read_bytes()
    app = front(max_body_bytes=10**6, max_all_bodies_bytes=10**7)
    response = ask(app, content=body, headers=JSON_TYPE)
    assert response.status_code == 400
    assert "max_sequences_per_request" in response.json()["error"]["message"]
