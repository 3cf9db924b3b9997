"""Workers that Ray's memory monitor has ended, and what to change then."""

import contextlib

from ray.core.generated import common_pb2, gcs_pb2

REMEDY = (
    "the machine has too little free memory for the job; lower pipeline.max_actors, pipeline.batches_per_actor, "
    "generator.cpu_kv_cache_gib or retrieval.num_retrievers, or end other programs; finished calls are kept"
)


def count_memory_kills() -> int:
    """Workers of the cluster that its memory monitor has ended so far; 0 where Ray does not tell.

    Without a dashboard, Ray tells it nowhere else than in the table of its workers.
    """
    with contextlib.suppress(Exception):
        from ray._private.state import state

        rows = state._connect_and_get_accessor().get_worker_table()
        workers = [gcs_pb2.WorkerTableData.FromString(row) for row in rows]
        return sum(
            not worker.is_alive and worker.exit_type == common_pb2.WorkerExitType.NODE_OUT_OF_MEMORY
            for worker in workers
        )
    return 0


def memory_line(num_kills: int) -> str:
    """One line for a user whose workers are ended again and again."""
    workers = "1 worker" if num_kills == 1 else f"{num_kills} workers"
    return f"memory: Ray's memory monitor has ended {workers} of this job; {REMEDY}"
