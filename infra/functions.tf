locals {
  # Concurrency above 1 needs a whole CPU. An instance's memory holds Node with the framework (about 70 MiB), the
  # Firestore client where it is used (120 MiB in all after the first call), and what each request in flight needs.
  functions = {
    webhook = {
      description = "Registries report pushes here. The only public function."
      # A body is capped at 2 MiB and held as bytes, text and JSON: 40 × 2 MiB × 3 is 240 MiB in the worst case.
      memory      = "512Mi"
      concurrency = 40
      # 400 requests at once; more wait or are refused, and registries call again.
      max_instances = 10
      # 10 s for a slow body, and the publishing. Docker Hub and others hang up long before.
      timeout_seconds = 60
      ingress         = "ALLOW_ALL"
      # It calls nobody but Pub/Sub.
      in_vpc = false
    }
    builds = {
      description = "Takes pushes, observes, decides, rolls out."
      # A rollout waits for registry and target most of its time: some ms of CPU, some MiB each.
      memory      = "512Mi"
      concurrency = 8
      # 80 messages at once over all instances; what is more waits in the subscription and loses nothing.
      max_instances = 10
      # An invocation looks for 20 s at most and then hands over. The rest is for a registry and a target that hang;
      # below the subscription's deadline of 600 s, so that no message is handed out while it is worked on.
      timeout_seconds = 540
      ingress         = "ALLOW_INTERNAL_ONLY"
      in_vpc          = true
    }
    reconcile = {
      description = "Compares what runs with what is wanted, and carries on what was left unfinished."
      # A sweep, and beside it one that took longer than its minute. A full comparison peaks at 256 MiB.
      memory      = "512Mi"
      concurrency = 4
      # One caller, once a minute and each quarter of an hour: two are for the moment of a deployment.
      max_instances   = 2
      timeout_seconds = 540
      ingress         = "ALLOW_INTERNAL_ONLY"
      in_vpc          = true
    }
  }

  environment = {
    GOOGLE_CLOUD_PROJECT = var.project_id
    LANDFALL_CONFIG      = "${local.config_mount}/landfall.yaml"
    # For webhook too, which has no role on it: were it ever to use the ledger, it would fail and not make one of its own.
    LANDFALL_LEDGER = "firestore:${var.project_id}/${var.firestore_database}"
    LANDFALL_BUS    = "pubsub:${google_pubsub_topic.landfall.id}"
    # Google sets it on deployments that do not; said here, so that plans stay empty.
    LOG_EXECUTION_ID = "true"
    # What is read of long lists is garbage at once; left to itself, V8 lets up to 250 MiB of it lie about in a full run.
    NODE_OPTIONS = "--max-semi-space-size=2 --max-old-space-size=256"
  }
}

resource "google_service_account" "function" {
  for_each = local.functions

  project      = var.project_id
  account_id   = "landfall-${each.key}"
  display_name = "Landfall: ${each.key}"
  description  = each.value.description

  depends_on = [google_project_service.this]
}

resource "google_cloudfunctions2_function" "function" {
  for_each = local.functions

  project     = var.project_id
  location    = var.region
  name        = each.key
  description = each.value.description

  build_config {
    runtime           = "nodejs24"
    entry_point       = each.key
    service_account   = google_service_account.build.id
    docker_repository = google_artifact_registry_repository.functions.id

    source {
      storage_source {
        bucket = google_storage_bucket.artifacts.name
        object = google_storage_bucket_object.artifact[each.key].name
      }
    }
  }

  # No event_trigger, for builds neither: Eventarc's own subscription has no dead letters and keeps events for a day.
  # pubsub.tf has ours.
  service_config {
    service_account_email            = google_service_account.function[each.key].email
    available_memory                 = each.value.memory
    available_cpu                    = "1"
    max_instance_request_concurrency = each.value.concurrency
    min_instance_count               = var.min_instances[each.key]
    max_instance_count               = each.value.max_instances
    timeout_seconds                  = each.value.timeout_seconds
    ingress_settings                 = each.value.ingress
    environment_variables            = local.environment
    vpc_connector                    = each.value.in_vpc ? one(google_vpc_access_connector.egress[*].id) : null
    vpc_connector_egress_settings    = each.value.in_vpc && var.vpc != null ? "ALL_TRAFFIC" : null

    # Mounted, not variables: a file is read again at each use, so `latest` rotates without a deployment.
    secret_volumes {
      mount_path = local.config_mount
      project_id = var.project_id
      secret     = google_secret_manager_secret.config.secret_id

      versions {
        path    = "landfall.yaml"
        version = "latest"
      }
    }

    dynamic "secret_volumes" {
      for_each = [for name, readers in var.secrets : name if contains(readers, each.key)]

      # A folder for each: two secrets cannot share one.
      content {
        mount_path = "/secrets/${secret_volumes.value}"
        project_id = var.project_id
        secret     = google_secret_manager_secret.file[secret_volumes.value].secret_id

        versions {
          path    = "value"
          version = "latest"
        }
      }
    }
  }

  # A deployment is refused while the account cannot read what is mounted, or the build what it builds.
  depends_on = [
    google_artifact_registry_repository_iam_member.build_writes_images,
    google_project_iam_member.build_logs,
    google_project_iam_member.build_reads_copies,
    google_secret_manager_secret_iam_member.config,
    google_secret_manager_secret_iam_member.file,
    google_secret_manager_secret_version.config,
    google_storage_bucket_iam_member.build_reads_artifacts,
  ]
}

# Anyone may call webhook: what a delivery may do is for its secret or signature to prove. Nobody else is let in by IAM.
resource "google_cloud_run_service_iam_member" "webhook_is_public" {
  project  = var.project_id
  location = var.region
  service  = google_cloudfunctions2_function.function["webhook"].name
  role     = "roles/run.invoker"
  member   = "allUsers"
}
