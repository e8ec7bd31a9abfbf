job "shop" {
  namespace = "shop"

  group "shop" {
    network {
      mode = "bridge"
    }

    task "dbambassador" {
      driver = "docker"
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }
      config {
        image           = "your-registry/dbambassador-shop:1"
        args            = ["run"]
        readonly_rootfs = true
        cap_drop        = ["all"]
      }
      env {
        DBAMBASSADOR_MAX_SIGTERM_DELAY = "20s"
      }
      kill_signal  = "SIGTERM"
      kill_timeout = "30s"
      resources {
        cpu    = 200
        memory = 128
      }
    }

    # The sidecar runs; this one ends when it also listens, and only then the application starts.
    task "wait" {
      driver = "docker"
      lifecycle {
        hook = "prestart"
      }
      config {
        image = "your-registry/dbambassador-shop:1"
        args  = ["wait", "--for", "ambassador", "--max", "60s"]
      }
    }

    task "app" {
      driver = "docker"
      config {
        image = "your-application"
      }
    }
  }
}
