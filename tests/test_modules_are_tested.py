"""Each module has a test module of its name, or a story that covers it; so a newcomer finds the tests of what is changed."""

import pytest

from tests.test_architecture import MODULES, PACKAGE, REPOSITORY

UNIT, SYNC, FAULTS = "tests/unit", "tests/sync", "tests/faults"
STORIES = {
    "__main__": f"{UNIT}/cli/test_app.py",
    "main": f"{UNIT}/cli/test_app.py",
    "cli.about": f"{UNIT}/cli/test_arguments.py",
    "cli.delete": f"{UNIT}/operations/test_delete.py",
    "cli.exit_codes": f"{UNIT}/cli/test_arguments.py",
    "cli.invocation": f"{UNIT}/cli/test_stopped_runs.py",
    "cli.mirror": f"{UNIT}/operations/test_dry_run.py",
    "cli.not_needed": f"{UNIT}/cli/test_arguments.py",
    "cli.parts": f"{SYNC}/test_several_indexes.py",
    "cli.sync": f"{UNIT}/operations/test_sync.py",
    "cli.verify": f"{UNIT}/verify/test_verify_extent.py",
    "config.config": f"{UNIT}/config/test_fingerprint.py",
    "config.option_groups": f"{UNIT}/config/test_option_table.py",
    "config.sections": f"{UNIT}/config/test_option_names.py",
    "config.show": f"{UNIT}/cli/test_config.py",
    "filters.facts": f"{UNIT}/filters/test_metadata.py",
    "filters.fingerprint": f"{UNIT}/config/test_fingerprint.py",
    "filters.name_options": f"{UNIT}/filters/test_settings.py",
    "filters.names": f"{UNIT}/operations/test_explain.py",
    "filters.registry": f"{UNIT}/filters/test_settings.py",
    "filters.selection": f"{UNIT}/filters/test_filters.py",
    "filters.verdict": f"{UNIT}/operations/test_explain.py",
    "http.answer_limits": f"{UNIT}/http/test_endless_alike.py",
    "http.attempt": f"{UNIT}/http/test_transfer_retries.py",
    "http.bounded_connection": f"{UNIT}/http/test_endless_alike.py",
    "http.curl_errors": f"{UNIT}/http/test_answers_alike.py",
    "http.curl_handle": f"{UNIT}/http/test_transfer.py",
    "http.curl_loop": f"{UNIT}/http/test_transfer.py",
    "http.curl_settings": f"{UNIT}/http/test_settings_alike.py",
    "http.head_fields": f"{UNIT}/http/test_transfer.py",
    "http.request": f"{UNIT}/http/test_driver.py",
    "http.retry_rules": f"{UNIT}/http/test_transfer_retries.py",
    "http.tcp_bytes": f"{UNIT}/http/test_endless_alike.py",
    "http.trust": f"{UNIT}/http/test_transfer_late.py",
    "inifile.option": f"{UNIT}/config/test_option_table.py",
    "inifile.readers": f"{UNIT}/config/test_mirror_section.py",
    "operations.explanations": f"{SYNC}/test_sync_story.py",
    "operations.failures": f"{SYNC}/test_sync_setbacks.py",
    "operations.inventory_opening": f"{UNIT}/operations/test_session.py",
    "operations.leftovers": f"{FAULTS}/test_inventory_lost.py",
    "operations.mirror": f"{SYNC}/test_sync_story.py",
    "operations.outcome_log": f"{SYNC}/test_sync_story.py",
    "operations.removal_work": f"{FAULTS}/test_04_removals.py",
    "operations.run_resources": f"{SYNC}/test_sync_setbacks.py",
    "operations.shared_tree": f"{SYNC}/test_shared_tree.py",
    "operations.tuning": f"{SYNC}/test_sync_setbacks.py",
    "operations.unlisted": f"{UNIT}/verify/test_unlisted.py",
    "operations.unlisted_database": f"{UNIT}/verify/test_unlisted.py",
    "pages.forms": f"{UNIT}/pages/test_render.py",
    "pages.publisher": f"{UNIT}/verify/test_verification.py",
    "pages.remover": f"{FAULTS}/test_04_removals.py",
    "plan.basis": f"{UNIT}/plan/test_run_plan.py",
    "plan.changelog_plan": f"{UNIT}/plan/test_run_plan.py",
    "plan.forecast": f"{SYNC}/test_forecast_comes_true.py",
    "plan.held_files": f"{UNIT}/verify/test_verify_filters.py",
    "plan.index_plan": f"{UNIT}/plan/test_run_plan_without_xmlrpc.py",
    "plan.journal_plan": f"{SYNC}/test_followed_chain.py",
    "plan.journal_or_index": f"{UNIT}/plan/test_run_plan_without_xmlrpc.py",
    "plan.own_serials": f"{SYNC}/test_other_indexes.py",
    "plan.page_selection": f"{UNIT}/operations/test_sync.py",
    "plan.reached": f"{UNIT}/plan/test_run_plan_without_xmlrpc.py",
    "plan.root_search": f"{SYNC}/test_other_indexes.py",
    "project.completion": f"{UNIT}/project/test_package.py",
    "project.core_metadata": f"{UNIT}/project/test_files.py",
    "project.file_growth": f"{UNIT}/project/test_files.py",
    "project.file_receiver": f"{UNIT}/project/test_files_resumed.py",
    "project.job": f"{UNIT}/project/test_package.py",
    "project.local_check": f"{SYNC}/test_sync_resync.py",
    "project.preparation": f"{UNIT}/project/test_package.py",
    "project.prepared": f"{UNIT}/project/test_package.py",
    "project.shrinking": f"{FAULTS}/test_04_removals.py",
    "serving.channel": f"{UNIT}/serving/test_app.py",
    "state.awaited": f"{SYNC}/test_awaited.py",
    "state.change_record": f"{UNIT}/pages/test_change_journal.py",
    "state.database_errors": f"{UNIT}/state/test_inventory.py",
    "state.index_record": f"{UNIT}/pages/test_root_index.py",
    "state.inventory_database": f"{UNIT}/state/test_inventory.py",
    "state.inventory_rows": f"{FAULTS}/test_damaged_records.py",
    "state.inventory_schema": f"{SYNC}/test_upgrade.py",
    "state.turns": f"{UNIT}/plan/test_refresh.py",
    "storage.file_writer": f"{UNIT}/storage/test_filesystem.py",
    "storage.folders": f"{UNIT}/storage/test_filesystem.py",
    "storage.in_progress": f"{UNIT}/storage/test_filesystem_leftovers.py",
    "storage.lock_holder": f"{UNIT}/storage/test_claims.py",
    "storage.unfinished_folder": f"{UNIT}/storage/test_parts.py",
    "storage.unfinished_names": f"{UNIT}/storage/test_parts.py",
    "storage.private_folder": f"{UNIT}/storage/test_parts.py",
    "upstream.documents": f"{UNIT}/upstream/test_index.py",
    "upstream.static_journal": f"{SYNC}/test_followed_chain.py",
    "upstream.root_index": f"{UNIT}/upstream/test_index.py",
    "verify.findings": f"{UNIT}/verify/test_verification.py",
    "verify.project_check": f"{UNIT}/verify/test_verification.py",
    "verify.tally": f"{UNIT}/verify/test_verification.py",
    "verify.unlisted_deletion": f"{UNIT}/verify/test_unlisted.py",
}
"""Modules without a test module of their name, and the test module whose tests cover them."""


def own_tests(module: str) -> str:
    """Return where the tests of a module are, if it has some of its name."""
    package, _, name = module.rpartition(".")
    return "/".join(part for part in (UNIT, package.replace(".", "/"), f"test_{name}.py") if part)


CODE = [module for module in MODULES if not module.endswith("__init__")]


@pytest.mark.parametrize("module", CODE)
def test_module_has_tests_of_its_name_or_a_story(module: str) -> None:
    tests = STORIES.get(module, own_tests(module))
    assert (REPOSITORY / tests).is_file(), f"no {own_tests(module)}, and no story for {module} in {__file__}"


def test_stories_are_for_modules_that_have_no_tests_of_their_name() -> None:
    assert set(STORIES) <= set(CODE)
    assert [module for module in STORIES if (REPOSITORY / own_tests(module)).is_file()] == []


def test_unit_tests_are_in_folders_of_the_packages() -> None:
    folders = {path.parent.name for path in (REPOSITORY / UNIT).glob("*/test_*.py")}
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders <= {*packages, "support"}
