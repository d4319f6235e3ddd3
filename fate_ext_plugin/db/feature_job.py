"""Table ``t_ext_feature_job``: one row a feature job."""
from peewee import BigIntegerField, CharField, IntegerField, TextField

from fate_ext_plugin.db.base import AnyTextField, ExtModel


class FeatureJob(ExtModel):
    """Times in ms since 1970, sizes in bytes, ``f_progress`` in percent, ``f_request`` requestBody as JSON."""

    f_job_id = CharField(max_length=32, primary_key=True)
    f_fate_job_id = CharField(max_length=64, null=True, index=True)
    f_status = CharField(max_length=10)
    f_owner = CharField(max_length=64)
    f_attempt = IntegerField(default=0)
    f_view = CharField(max_length=64)
    f_request = TextField()
    f_id_name = AnyTextField()
    f_progress = IntegerField(default=0)
    f_ids = BigIntegerField(null=True)
    f_matched = BigIntegerField(null=True)
    f_missing = BigIntegerField(null=True)
    f_upload_bytes = BigIntegerField(default=0)
    f_result_bytes = BigIntegerField(null=True)
    f_start_time = BigIntegerField(null=True)
    f_end_time = BigIntegerField(null=True)
    f_elapsed = BigIntegerField(null=True)
    f_error_code = IntegerField(null=True)
    f_error = AnyTextField(null=True)
    f_public_error = AnyTextField(null=True)

    class Meta:
        table_name = "t_ext_feature_job"
        # For counts by status, and for pages of the newest jobs, of which the database reads no others.
        indexes = (
            (("f_owner", "f_status"), False),
            (("f_create_time", "f_job_id"), False),
            (("f_status", "f_create_time", "f_job_id"), False),
            # All that the overview sums up: on MySQL, reading the rows themselves takes over three times as long.
            (("f_create_time", "f_status", "f_ids", "f_matched", "f_elapsed"), False),
            (("f_view", "f_create_time", "f_job_id"), False),
            (("f_view", "f_status", "f_create_time", "f_job_id"), False),
        )
