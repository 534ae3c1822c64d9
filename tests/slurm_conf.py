"""What the daemons of the tests' Slurm read: `SelectType=select/cons_tres` and the like.

Among them are the settings that make a requeued job run again after six seconds instead of minutes.
"""

from __future__ import annotations

from collections.abc import Mapping

CONF = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
{node} NodeAddr=127.0.0.1 State=UNKNOWN
PartitionName=tests Nodes=ALL Default=YES DefaultTime=10 MaxTime=INFINITE State=UP
SlurmUser={user}
SlurmdUser={user}

# A requeued job waits until its last credential has expired: 120 s if not told, 5 s at least.
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5

StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/worker
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid

SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
PropagateResourceLimits=NONE
MailProg=/bin/true
JobRequeue=1
ReturnToService=2
# The node is as its line says, even in a container that is allowed less.
SlurmdParameters=config_overrides

# Jobs start at once; a requeued one is looked for every second, not every minute.
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1
# SIGKILL comes 2 s after SIGTERM; ended jobs can be asked about for an hour.
KillWait=2
CompleteWait=0
MinJobAge=3600
"""

CGROUP_CONF = "CgroupPlugin=cgroup/v1\n"
"""Not used, but loaded: looking for the right one by itself, slurmd ends where two are mounted."""

CONF_ACCOUNTING = """
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports[2]}
AccountingStoragePass={folder}/munge.socket
"""

DATABASE_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={ports[2]}
PidFile={folder}/slurmdbd.pid
SlurmUser={user}
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser={user}
StorageLoc=slurm
"""


def files(accounting: bool, told: Mapping[str, object]) -> dict[str, str]:
    """Contents by name of the file; `told` has folder, host, node (its line), ports, user."""
    both = CONF + CONF_ACCOUNTING if accounting else CONF
    named = {"slurm.conf": both, "cgroup.conf": CGROUP_CONF, "slurmdbd.conf": DATABASE_CONF}
    return {name: content.format(**told) for name, content in named.items()}
