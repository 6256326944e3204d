"""What the jobs of a command have in common."""

from bandersnatch.config.config import Config
from bandersnatch.plan.removals import RemovalPolicy
from bandersnatch.project.job_context import build_context
from tests.support.rig import Rig


def test_jobs_and_pages_have_the_policy_of_the_command(rig: Rig) -> None:
    config = Config.load(rig.write_config())
    policy = RemovalPolicy.of(config.removals, allows_all=True, are_named=True)
    with rig.resources(config) as resources:
        context = build_context(config, policy, resources.upstream.documents, resources.storage, lambda: False)
    assert context.removals is context.chooser.removals is policy
