# landfall: pushes, builds, and rollouts to go on with. landfall-commands: what operators order.
# landfall-dead-letter: what could not be used, or not be put on record.

resource "google_pubsub_topic" "landfall" {
  project = var.project_id
  name    = "landfall"

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [google_project_service.this]
}

resource "google_pubsub_topic" "commands" {
  project = var.project_id
  name    = "landfall-commands"

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [google_project_service.this]
}

resource "google_pubsub_topic" "dead_letter" {
  project = var.project_id
  name    = "landfall-dead-letter"

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [google_project_service.this]
}

# A topic keeps nothing by itself: without this subscription dead letters would be gone at once.
resource "google_pubsub_subscription" "dead_letter" {
  project                    = var.project_id
  name                       = "landfall-dead-letter"
  topic                      = google_pubsub_topic.dead_letter.id
  message_retention_duration = "2678400s" # 31 days, the longest there is
  ack_deadline_seconds       = 60

  expiration_policy {
    ttl = "" # never: by default it would be deleted after 31 days without a reader
  }
}

locals {
  delivered_topics = {
    landfall = google_pubsub_topic.landfall
    commands = google_pubsub_topic.commands
  }
}

resource "google_pubsub_subscription" "builds" {
  for_each = local.delivered_topics

  project                    = var.project_id
  name                       = "${each.value.name}-builds"
  topic                      = each.value.id
  message_retention_duration = "604800s" # 7 days
  # For push this is the time that builds has to answer: more than its timeout.
  ack_deadline_seconds = 600

  push_config {
    # With this parameter the message comes as a CloudEvent, with its topic; without, as a raw body. builds takes both.
    push_endpoint = "${google_cloudfunctions2_function.function["builds"].service_config[0].uri}/?__GCP_CloudEventsMode=CUSTOM_PUBSUB_${urlencode(each.value.id)}"

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = google_cloudfunctions2_function.function["builds"].service_config[0].uri
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  # builds itself sends away what it can never use, with the reason. Attempts run out only while the ledger cannot be
  # written or builds crashes: 30 are some four hours.
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letter.id
    max_delivery_attempts = 30
  }

  expiration_policy {
    ttl = ""
  }

  # Before the first message, or Pub/Sub is refused and counts attempts.
  depends_on = [
    google_cloud_run_service_iam_member.push_calls_builds,
    google_pubsub_topic_iam_member.agent_dead_letters,
  ]
}

resource "google_service_account" "push" {
  project      = var.project_id
  account_id   = "landfall-push"
  display_name = "Landfall: Pub/Sub, calling builds"

  depends_on = [google_project_service.this]
}

resource "google_cloud_run_service_iam_member" "push_calls_builds" {
  project  = var.project_id
  location = var.region
  service  = google_cloudfunctions2_function.function["builds"].name
  role     = "roles/run.invoker"
  member   = google_service_account.push.member
}

# Dead letters are moved by Pub/Sub's own account: it takes from our subscriptions and publishes to our topic.
locals {
  pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_pubsub_topic_iam_member" "agent_dead_letters" {
  project = var.project_id
  topic   = google_pubsub_topic.dead_letter.name
  role    = "roles/pubsub.publisher"
  member  = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "agent_dead_letters" {
  for_each = google_pubsub_subscription.builds

  project      = var.project_id
  subscription = each.value.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}

resource "google_pubsub_topic_iam_member" "webhook_publishes" {
  project = var.project_id
  topic   = google_pubsub_topic.landfall.name
  role    = "roles/pubsub.publisher"
  member  = google_service_account.function["webhook"].member
}

# A rollout that takes longer than an invocation is handed on as a message.
resource "google_pubsub_topic_iam_member" "work_continues" {
  for_each = toset(["builds", "reconcile"])

  project = var.project_id
  topic   = google_pubsub_topic.landfall.name
  role    = "roles/pubsub.publisher"
  member  = google_service_account.function[each.key].member
}

resource "google_pubsub_topic_iam_member" "builds_dead_letters" {
  project = var.project_id
  topic   = google_pubsub_topic.dead_letter.name
  role    = "roles/pubsub.publisher"
  member  = google_service_account.function["builds"].member
}

resource "google_pubsub_topic_iam_member" "operators_command" {
  for_each = var.operators

  project = var.project_id
  topic   = google_pubsub_topic.commands.name
  role    = "roles/pubsub.publisher"
  member  = each.key
}
