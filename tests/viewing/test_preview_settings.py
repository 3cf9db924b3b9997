"""A preview makes the first of the run's own seeds, of all kinds, and tells nobody else."""

from app.dataset.seeds import Candidate, draw_seeds
from app.viewing.preview_settings import preview_config
from tests.dataset.example_rows import make_config


def config_of(num_seeds=10, **dataset):
    lengths = [{"min_tokens": 4000, "max_tokens": 8000}]
    numbers = {"num_long_input_seeds": 800, "num_long_output_seeds": 150, "num_structure_seeds": 50}
    return make_config(
        preview={"num_seeds": num_seeds},
        dataset=numbers | {"target_lengths": lengths} | dataset,
        pipeline={"max_actors": 4, "rows_per_batch": 2, "batches_per_actor": 3},
    )


def numbers(config):
    dataset = config.dataset
    return dataset.num_long_input_seeds, dataset.num_long_output_seeds, dataset.num_structure_seeds


def test_the_seeds_are_shared_out_as_in_the_dataset():
    assert numbers(preview_config(config_of())) == (7, 2, 1)
    assert numbers(preview_config(config_of(num_structure_seeds=0))) == (8, 2, 0)
    assert numbers(preview_config(config_of(num_seeds=5000))) == (800, 150, 50)


def test_they_are_the_runs_own_first_ones():
    config = config_of()

    def drawn(settings):
        candidates = {
            kind: [Candidate(place, f"d{place}:00000", "part", 5000) for place in range(number)]
            for kind, number in zip(
                ("long_input", "long_output", "structure"), numbers(settings), strict=True
            )
        }
        return {
            each.seed.seed_id: (each.seed.task, each.seed.target_tokens, each.seed.random_seed)
            for each in draw_seeds(settings, candidates)
        }

    whole, few = drawn(config), drawn(preview_config(config))
    assert len(few) == 10
    assert few.items() <= whole.items()
    assert sorted(few)[0] == sorted(whole)[0]


def test_each_seed_is_written_by_itself_and_nothing_leaves_the_run():
    config = config_of(exports=["rl"], publish={"repo": "me/mine"})
    few = preview_config(config)
    assert (few.pipeline.rows_per_batch, few.pipeline.batches_per_actor, few.pipeline.max_actors) == (1, 6, 1)
    assert few.dataset.publish.repo is None
    assert few.dataset.exports == []
    assert few.dataset.max_reject_share == 1.0
    assert few.run_dir == config.run_dir
    assert few.generator == config.generator
