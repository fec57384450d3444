"""The values of the rendered site's gunicorn.conf.py, without its log filter and its hooks: they are features of it."""

import runpy

OF_SITE = ("bind", "workers", "worker_class", "threads", "timeout", "graceful_timeout", "keepalive", "worker_tmp_dir")
OF_SITE += ("control_socket_disable", "accesslog")
globals().update({name: value for name, value in runpy.run_path("gunicorn.conf.py").items() if name in OF_SITE})
access_log_format = '%(h)s "%(m)s %(U)s" %(s)s %(b)s %(M)sms'
