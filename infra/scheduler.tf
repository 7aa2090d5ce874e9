resource "google_service_account" "scheduler" {
  project      = var.project_id
  account_id   = "landfall-scheduler"
  display_name = "Landfall: Cloud Scheduler, calling reconcile"

  depends_on = [google_project_service.this]
}

resource "google_cloud_run_service_iam_member" "scheduler_calls_reconcile" {
  project  = var.project_id
  location = var.region
  service  = google_cloudfunctions2_function.function["reconcile"].name
  role     = "roles/run.invoker"
  member   = google_service_account.scheduler.member
}

resource "google_cloud_scheduler_job" "sweep" {
  project     = var.project_id
  region      = var.region
  name        = "landfall-sweep"
  description = "Carries on rollouts and pushes that were left unfinished."
  schedule    = "* * * * *"
  time_zone   = "Etc/UTC"
  # A sweep takes 20 s at most by itself; the rest is for a cold start and a target that hangs. A sweep that is cut off
  # here goes on for the function, and what it leaves is taken up by the next.
  attempt_deadline = "120s"

  # Once more at once; after that the next minute's is as good.
  retry_config {
    retry_count          = 1
    min_backoff_duration = "5s"
    max_backoff_duration = "10s"
  }

  http_target {
    http_method = "POST"
    uri         = "${google_cloudfunctions2_function.function["reconcile"].service_config[0].uri}/reconcile"
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode(jsonencode({ mode = "sweep" }))

    oidc_token {
      service_account_email = google_service_account.scheduler.email
      audience              = google_cloudfunctions2_function.function["reconcile"].service_config[0].uri
    }
  }

  depends_on = [google_cloud_run_service_iam_member.scheduler_calls_reconcile]
}

resource "google_cloud_scheduler_job" "full_run" {
  project     = var.project_id
  region      = var.region
  name        = "landfall-full-run"
  description = "Compares what runs with what is wanted, and repairs what lost events left behind."
  schedule    = "*/15 * * * *"
  time_zone   = "Etc/UTC"
  # As long as the function itself may take: one that is cut off goes on, and its report is in the ledger.
  attempt_deadline = "540s"

  # 409: another full run is under way, for example because somebody asked for one. The next one is as good.
  retry_config {
    retry_count = 0
  }

  http_target {
    http_method = "POST"
    uri         = "${google_cloudfunctions2_function.function["reconcile"].service_config[0].uri}/reconcile"
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode(jsonencode({ mode = "full" }))

    oidc_token {
      service_account_email = google_service_account.scheduler.email
      audience              = google_cloudfunctions2_function.function["reconcile"].service_config[0].uri
    }
  }

  depends_on = [google_cloud_run_service_iam_member.scheduler_calls_reconcile]
}
