"""Every module has its test file at the mirrored path, or a reason why it has none."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "endoexit"
TESTS = ROOT / "tests"
# Module: the file that tests it instead, and why it is there.
ELSEWHERE = {
    "__main__.py": ("cli/test_main.py", "starts it as a process next to the script"),
    "api.py": ("test_public.py", "tests all public names together"),
    "archiving/requests.py": ("archiving/test_workers.py", "asks a worker, and reads its answers"),
    "archiving/worker.py": ("archiving/test_workers.py", "starts it as a process, and kills it"),
    "progress.py": ("cli/test_console.py", "its only implementations are bars"),
    "cli/compare.py": ("cli/test_kvasir.py", "compares the results of a reproduction"),
    "cli/demo.py": ("test_docs.py", "runs it, as a page that a reader follows"),
    "bench/document.py": ("bench/test_tables.py", "fills every record of it"),
    "evaluation/adaptive.py": ("evaluation/test_study.py", "needs a whole evaluation"),
    "evaluation/estimates.py": ("evaluation/test_document.py", "records without rules"),
    "evaluation/lines.py": ("evaluation/test_study.py", "needs a whole evaluation"),
    "evaluation/robustness.py": ("evaluation/test_robustness_study.py", "needs such a study"),
    "exporting/int8_drop.py": ("exporting/test_quantise.py", "needs stages that lose something"),
    "exporting/stage_files.py": ("exporting/test_quantise.py", "quantises stages in their files"),
    "exporting/stages.py": ("exporting/test_export.py", "looks into whole bundles"),
    "images/dicom/baseline.py": ("images/dicom/test_read.py", "reads whole objects"),
    "images/dicom/child.py": ("images/dicom/test_read.py", "reads whole objects"),
    "images/dicom/classes.py": ("images/dicom/test_read.py", "reads whole objects"),
    "images/dicom/codecs.py": ("images/dicom/test_read.py", "reads whole objects"),
    "images/dicom/colours.py": ("images/dicom/test_read.py", "reads whole objects"),
    "images/dicom/elements.py": ("images/dicom/test_read.py", "reads whole objects"),
    "images/dicom/frames.py": ("images/dicom/test_read.py", "reads whole objects"),
    "images/dicom/header.py": ("images/dicom/test_read.py", "reads whole objects"),
    "images/dicom/worker.py": ("images/dicom/test_read.py", "reads whole objects"),
    "images/dicom/recognise.py": ("images/test_formats.py", "finds objects in folders"),
    "images/limits.py": ("images/video/test_clip.py", "sets them for a process that decodes"),
    "images/messages.py": ("images/video/test_clip.py", "asks a process that decodes"),
    "images/video/child.py": ("images/video/test_clip.py", "starts it, stalls it, kills it"),
    "images/video/decoding.py": ("images/video/test_clip.py", "reads whole clips"),
    "images/shelf.py": ("images/test_cache.py", "asks for lists as users of the cache do"),
    "models/graph.py": ("models/test_cut.py", "cuts networks of every kind by their graphs"),
    "models/published.py": ("models/msdnet/test_published.py", "reads weights of a family"),
    "reproduction/document.py": ("cli/test_kvasir.py", "needs a whole reproduction"),
    "reproduction/steps.py": ("cli/test_kvasir.py", "needs a whole reproduction"),
    "reproduction/study.py": ("cli/test_kvasir.py", "needs a whole reproduction"),
    "reproduction/table.py": ("cli/test_kvasir.py", "needs a whole reproduction"),
    "runtime/batch.py": ("runtime/test_engine.py", "records that the engine fills"),
    "runtime/prediction.py": ("runtime/test_engine.py", "records that the engine fills"),
    "runtime/backends/base.py": ("runtime/test_engine.py", "drives an engine with a backend of its"
                                 " own; the module is a protocol"),
    "runtime/backends/onnx.py": ("runtime/backends/test_openvino.py", "tests all backends of "
                                 "bundles against eager PyTorch"),
    "serve/answers.py": ("serve/test_app.py", "holds answers of a service against those of Python"),
    "serve/frame.py": ("serve/test_app.py", "looks at the answers of a running service"),
    "serve/metrics.py": ("serve/test_app.py", "reads them from a running service"),
    "serve/protocol.py": ("serve/test_app.py", "opens connections that say too little or are many"),
    "workflow/archive.py": ("cli/test_archive.py", "the command calls it, and nothing else"),
    "workflow/audit.py": ("workflow/test_workflow.py", "one walk takes all steps"),
    "workflow/cascade.py": ("cli/test_cascade.py", "the command calls it, and nothing else"),
    "workflow/calibrate.py": ("workflow/test_workflow.py", "one walk takes all steps"),
    "workflow/evaluate.py": ("workflow/test_workflow.py", "one walk takes all steps"),
    "workflow/export.py": ("workflow/test_workflow.py", "one walk takes all steps"),
    "workflow/report.py": ("workflow/test_workflow.py", "one walk takes all steps"),
    "workflow/split.py": ("workflow/test_workflow.py", "one walk takes all steps"),
    "workflow/video.py": ("cli/test_video.py", "the command calls it, and nothing else"),
    "workflow/train.py": ("workflow/test_workflow.py", "one walk takes all steps"),
}  # fmt: skip


def modules() -> set[str]:
    files = (path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))
    return {file for file in files if not file.endswith("__init__.py")}


def mirrored(module: str) -> Path:
    path = TESTS / module
    return path.with_name(f"test_{path.name}")


def test_every_module_has_its_test_file_or_a_reason():
    without = {module for module in modules() if not mirrored(module).is_file()}
    assert without == set(ELSEWHERE)


def test_the_files_that_test_others_exist():
    assert [file for file, _ in ELSEWHERE.values() if not (TESTS / file).is_file()] == []
