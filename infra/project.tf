data "google_project" "this" {
  project_id = var.project_id
}

resource "google_project_service" "this" {
  for_each = toset(concat(
    [
      "artifactregistry.googleapis.com",
      "cloudbuild.googleapis.com",
      "cloudfunctions.googleapis.com",
      "cloudresourcemanager.googleapis.com",
      "cloudscheduler.googleapis.com",
      "firestore.googleapis.com",
      "iam.googleapis.com",
      "logging.googleapis.com",
      "pubsub.googleapis.com",
      "run.googleapis.com",
      "secretmanager.googleapis.com",
      "storage.googleapis.com",
    ],
    var.vpc == null ? [] : ["compute.googleapis.com", "vpcaccess.googleapis.com"],
    # Asked for in the callers' own project, wherever the clusters are.
    length(var.gke.projects) == 0 ? [] : ["container.googleapis.com"],
    length(var.gke.fleets) == 0 ? [] : ["connectgateway.googleapis.com"],
  ))

  project = var.project_id
  service = each.key
  # Others in the project may use it too.
  disable_on_destroy = false
}
